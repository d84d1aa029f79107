import { cpuTimeUs, nextMessage, startProgram } from "./child.ts";
import type { LoadOrder, LoadReport } from "./load-process.ts";
import { type Measurement, toMeasurement } from "./measure.ts";

/** A process that asks, so that the one under measurement does nothing but answer. */
export interface LoadGenerator {
  /** Measures how the server with this process id answers. Throws when one answer has another status. */
  measure(serverPid: number, order: LoadOrder): Promise<Measurement>;
}

/** A load generator on a core of its own where there is one. It ends with the stack. */
export function startLoadGenerator(ends: AsyncDisposableStack): LoadGenerator {
  const child = startProgram(ends, "./load-process.ts");
  return {
    async measure(serverPid, order) {
      const begun = nextMessage<string>(child);
      child.send(order);
      await begun;
      const cpu = cpuTimeUs(serverPid);
      const { latencies, elapsedMs } = await nextMessage<LoadReport>(child);
      return toMeasurement(latencies, elapsedMs, cpuTimeUs(serverPid) - cpu);
    },
  };
}

/** One request with this credential, as it goes over the wire. */
export function httpRequest(method: "GET" | "POST", path: string, credential: string, body?: unknown): string {
  const content = body === undefined ? "" : JSON.stringify(body);
  const lines = [`${method} ${path} HTTP/1.1`, "host: 127.0.0.1", credential, "accept: application/json"];
  if (body !== undefined) lines.push("content-type: application/json", `content-length: ${Buffer.byteLength(content)}`);
  return `${lines.join("\r\n")}\r\n\r\n${content}`;
}
