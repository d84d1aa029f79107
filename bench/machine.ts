import { availableParallelism, cpus, loadavg } from "node:os";

/** Where and when the figures were taken, in one line. */
export function describeMachine(now: Date): string {
  const cores = availableParallelism();
  const model = cpus()[0]?.model.trim() ?? "unknown CPU";
  const load = loadavg()
    .map((value) => value.toFixed(1))
    .join(" ");
  return `${now.toISOString().slice(0, 10)}, ${cores} core${cores === 1 ? "" : "s"} of ${model}, Node ${process.versions.node}, load average ${load}`;
}
