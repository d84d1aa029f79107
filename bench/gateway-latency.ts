import { execFile } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { promisify } from "node:util";
import { type Row, rounded } from "./bench.ts";
import { CORES, onCore } from "./child.ts";
import type { Side } from "./gateway-peers.ts";
import { temporaryFolder } from "./temporary-folder.ts";

const run = promisify(execFile);

/** A gateway that is measured, and the row that it gets. */
export interface LatencySide {
  readonly name: string;
  readonly side: Side;
  readonly path: string;
}

/** What is compared: the upstream asked directly and through each gateway, at the same fixed rate. */
export interface LatencyOrder {
  readonly upstream: number;
  readonly sides: readonly LatencySide[];
  /** A file whose first line is a header with a credential. */
  readonly credentials: string;
  readonly perSecond: number;
  readonly quick: boolean;
}

interface Latency {
  readonly p50: number;
  readonly p99: number;
}

const CONNECTIONS = 64;
const ROUNDS = 5;
/** The first second of a round is not counted, in none of the ways: connections are made in it. */
const WARM_UP_US = 1_000_000;
const BODY_BYTES = 230;
/** Connections begin one after the other within one interval of theirs, so that requests come evenly and not all connections' at once. */
const RAMP_STEPS = 8;

/**
 * What each gateway adds at a fixed rate, whatever the answers do: 64 connections that each ask at their own times, by `h2load` (Debian:
 * nghttp2-client) in HTTP/1.1. All ways are measured in turn; a row has the median difference to the upstream asked directly.
 */
export async function addedLatency(ends: AsyncDisposableStack, order: LatencyOrder): Promise<readonly Row[]> {
  const { upstream, sides, perSecond, quick } = order;
  const folder = temporaryFolder(ends);
  const [credential = ""] = readFileSync(order.credentials, "utf8").split("\n");
  writeFileSync(path.join(folder, "body"), "x".repeat(BODY_BYTES));
  const pace = async (port: number, asked: string): Promise<Latency> =>
    await measure(folder, `http://127.0.0.1:${port}${asked}`, credential, perSecond, quick ? 2 : 6);
  const added = sides.map((): Latency[] => []);
  for (let round = 0; round < ROUNDS; round++) {
    const direct = await pace(upstream, "/v1/chat/completions");
    for (const [at, { side, path: asked }] of sides.entries()) {
      const through = await pace(side.port, asked);
      added[at]?.push({ p50: through.p50 - direct.p50, p99: through.p99 - direct.p99 });
    }
  }
  return sides.map(({ name }, at) => ({
    name: `${name}-added-at-half-load`,
    requestsPerS: rounded(perSecond),
    p50Ms: rounded(middle(added[at] ?? [], ({ p50 }) => p50)),
    p99Ms: rounded(middle(added[at] ?? [], ({ p99 }) => p99)),
  }));
}

async function measure(folder: string, url: string, credential: string, perSecond: number, seconds: number): Promise<Latency> {
  const log = path.join(folder, `${process.hrtime.bigint()}.log`);
  const each = perSecond / CONNECTIONS;
  const [file = "", ...rest] = onCore(CORES.others, [
    "h2load",
    "--h1",
    "-t1",
    `-c${CONNECTIONS}`,
    `-n${Math.round(perSecond * seconds)}`,
    `--rps=${each}`,
    `-r${CONNECTIONS / RAMP_STEPS}`,
    `--rate-period=${Math.ceil((RAMP_STEPS + 1) * (1_000 / each / RAMP_STEPS))}ms`,
    "-d",
    path.join(folder, "body"),
    "-H",
    credential,
    `--log-file=${log}`,
    url,
  ]);
  await run(file, rest);
  // start in microseconds since 1970, status, microseconds until the end of the answer
  const lines = readFileSync(log, "utf8").trimEnd().split("\n");
  const answers = lines.map((line) => {
    const [start, status, us] = line.split("\t");
    if (status !== "200") throw new Error(`${url}: ${status}`);
    return { startUs: Number(start), ms: Number(us) / 1_000 };
  });
  const counted = answers.reduce((first, { startUs }) => Math.min(first, startUs), Infinity) + WARM_UP_US;
  const times = Float64Array.from(
    answers.filter(({ startUs }) => startUs >= counted),
    ({ ms }) => ms,
  ).toSorted();
  const at = (share: number): number => times[Math.max(0, Math.ceil(times.length * share) - 1)] ?? Number.NaN;
  return { p50: at(0.5), p99: at(0.99) };
}

function middle(of: readonly Latency[], pick: (one: Latency) => number): number {
  return of.map(pick).toSorted((x, y) => x - y)[Math.floor(of.length / 2)] ?? Number.NaN;
}
