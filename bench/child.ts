import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { fileURLToPath } from "node:url";

/** The core of the process under measurement, and that of everything else: callers, upstreams, databases. */
export const CORES = { measured: 0, others: 1 } as const;

const END_TIMEOUT_MS = 15_000;
/** Of /proc/<pid>/stat: USER_HZ is 100 on every Linux that Node runs on. */
const US_PER_TICK = 10_000;

const TASKSET = "taskset";
const canPin = availableParallelism() > 1 && spawnSync(TASKSET, ["--version"]).status === 0;

/** Starts this program of `bench/` in a process of its own that can be talked to with `send`; it ends with the stack. */
export function startProgram(ends: AsyncDisposableStack, file: string, programArguments: readonly string[] = []): ChildProcess {
  const [command = "", ...rest] = onCore(CORES.others, [
    process.execPath,
    fileURLToPath(new URL(file, import.meta.url)),
    ...programArguments,
  ]);
  const child = spawn(command, rest, { stdio: ["ignore", "inherit", "inherit", "ipc"] });
  ends.defer(() => endProcess(child));
  return child;
}

/** The command with its process, and all that this one starts, kept on one core. Where there is one only, or no taskset, as it is. */
export function onCore(core: number | undefined, command: readonly string[]): readonly string[] {
  return canPin && core !== undefined ? [TASKSET, "-c", String(core), ...command] : command;
}

/** Moves a process that runs already. Its children of later on the same core. */
export function moveToCore(core: number, pid: number): void {
  if (canPin) spawnSync(TASKSET, ["-a", "-p", "-c", String(core), String(pid)]);
}

/** The next message of the child. Throws when the child ends instead. */
export async function nextMessage<T>(child: ChildProcess): Promise<T> {
  const ended = new AbortController();
  const { signal } = ended;
  const exited = async (): Promise<never> => {
    const [code] = (await once(child, "exit", { signal })) as [number | null];
    throw new Error(`${child.spawnargs.join(" ")} ended with code ${String(code)}`);
  };
  try {
    const [message] = (await Promise.race([once(child, "message", { signal }), exited()])) as [T]; // both programs are ours
    return message;
  } finally {
    ended.abort();
  }
}

/** Ends the process in order, and where it does not end, at once. */
export async function endProcess(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, "exit");
  const timer = setTimeout(() => child.kill("SIGKILL"), END_TIMEOUT_MS);
  child.kill("SIGTERM");
  await exited;
  clearTimeout(timer);
}

/** User and system time of a process and its threads so far, in microseconds. Linux only. */
export function cpuTimeUs(pid: number): number {
  const fields = statOf(pid);
  return (Number(fields[11]) + Number(fields[12])) * US_PER_TICK;
}

/** Memory of a process that is in use at the moment, in MiB. Linux only. */
export function residentMiB(pid: number): number {
  const kib = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];
  return Math.round(Number(kib) / 1024);
}

/** The process that started this one. Linux only. */
export function parentOf(pid: number): number {
  return Number(statOf(pid)[1]);
}

/** CPU of the children of a process so far, in microseconds; each has one thread, as a PostgreSQL server's have. Linux only. */
export function childrenCpuTimeUs(pid: number): number {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").split(" ").filter(Boolean);
  return children.reduce((sum, child) => sum + Number(readFileSync(`/proc/${child}/schedstat`, "utf8").split(" ")[0]) / 1000, 0);
}

/** The fields of /proc/<pid>/stat from the third on: the second, the program's name, may have spaces. */
function statOf(pid: number): readonly string[] {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  return stat.slice(stat.lastIndexOf(")") + 2).split(" ");
}
