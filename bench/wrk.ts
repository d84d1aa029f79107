import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { CORES, cpuTimeUs, onCore } from "./child.ts";
import type { Measurement } from "./measure.ts";

const run = promisify(execFile);
const SCRIPT = fileURLToPath(new URL("./peers/post.lua", import.meta.url));
/** A longer run takes the credentials from the first on. */
const SHORT_S = 10;
const US_PER_UNIT: Readonly<Record<string, number>> = { us: 1, ms: 1_000, s: 1_000_000 };

/** What is asked of whom. */
export interface WrkOrder {
  readonly port: number;
  readonly path: string;
  readonly connections: number;
  readonly seconds: number;
  /** The address that Portkey's gateway is to send its requests to. */
  readonly upstream: string;
  /** A file with a header line for each credential, taken in turn. */
  readonly credentials?: string;
  /** The processes that serve: their CPU is what is counted. */
  readonly pids: readonly number[];
  /** The share of answers that may be refusals; none unless set. */
  readonly refusedMax?: number;
  /** Asks for streams. */
  readonly stream?: boolean;
}

/** Loads one server with `wrk` (Debian: wrk) from the core of the others. Throws when more answers than allowed are not 2xx, or none came. */
export async function measureWithWrk(order: WrkOrder): Promise<Measurement> {
  const { port, path, connections, seconds, upstream, credentials, pids, refusedMax = 0, stream = false } = order;
  const command = [
    "wrk",
    "-t1",
    `-c${connections}`,
    `-d${seconds}s`,
    "--latency",
    "-s",
    SCRIPT,
    `http://127.0.0.1:${port}`,
    "--",
    path,
    upstream,
  ];
  const [file = "", ...rest] = onCore(
    CORES.others,
    credentials === undefined
      ? command
      : [...command, credentials, seconds > SHORT_S ? "first" : "anywhere", ...(stream ? ["stream"] : [])],
  );
  const cpu = sumOf(pids);
  const { stdout } = await run(file, rest);
  const cpuUs = sumOf(pids) - cpu;
  const requests = Number(/(\d+) requests in/.exec(stdout)?.[1] ?? 0);
  const refused = Number(/Non-2xx or 3xx responses: (\d+)/.exec(stdout)?.[1] ?? 0);
  const bad = refused > refusedMax * requests ? String(refused) : /Socket errors: (.*)/.exec(stdout)?.[1];
  if (bad !== undefined || requests === 0) throw new Error(`port ${port}${path}: ${bad ?? "no"} bad answers\n${stdout}`);
  return {
    requestsPerS: Number(/Requests\/sec:\s+([\d.]+)/.exec(stdout)?.[1]),
    p50Ms: latencyMs(stdout, "50%"),
    p99Ms: latencyMs(stdout, "99%"),
    cpuUsPerRequest: cpuUs / requests,
    databaseCpuUsPerRequest: 0,
  };
}

function latencyMs(text: string, share: string): number {
  const [, value, unit] = new RegExp(`^\\s+${share}\\s+([\\d.]+)(us|ms|s)$`, "m").exec(text) ?? [];
  return (Number(value) * (US_PER_UNIT[unit ?? ""] ?? Number.NaN)) / 1000;
}

function sumOf(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => sum + cpuTimeUs(pid), 0);
}
