import type { ChildProcess } from "node:child_process";
import { type Bench, type BenchOptions, type Row, rounded } from "./bench.ts";
import { nextMessage, residentMiB, startProgram } from "./child.ts";
import { FIRST_STREAMS, streamsMax } from "./gateway-streams.ts";
import { type Measurement, median, medianOf } from "./measure.ts";
import type { CallersOrder, CallersReport } from "./model-callers-process.ts";
import { CHAT_PATH, HELD_MODEL, MODEL } from "./model-requests.ts";
import { type ModelSide, type ModelsHouse, openModelsHouse } from "./models-house.ts";
import { measureWithWrk } from "./wrk.ts";

const CONNECTIONS = 64;
const FULL = { rounds: 11, seconds: 2, warmUpSeconds: 5, paceRounds: 5, paceSeconds: 6, streams: 5_000 } as const;
const QUICK = { rounds: 1, seconds: 1, warmUpSeconds: 1, paceRounds: 1, paceSeconds: 1, streams: 300 } as const;
/** The side that the others' CPU is a share of. */
const MEASURE = "portkey";
const KIB = 1024;

/** One kind of answer through one gateway. */
interface Runner {
  readonly side: ModelSide;
  readonly stream: boolean;
  readonly measured: Measurement[];
}

/** CPU of an answer of a model, what is added to its first event, and streams held open: Freehold, Portkey's gateway and a bare proxy before the same provider. */
export const modelsBench: Bench = { name: "models", run: measureModels };

async function measureModels({ quick }: BenchOptions): Promise<readonly Row[]> {
  await using ends = new AsyncDisposableStack();
  const size = quick ? QUICK : FULL;
  const streams = Math.min(size.streams, streamsMax());
  const house = await openModelsHouse(ends, streams + FIRST_STREAMS);
  const callers = startProgram(ends, "./model-callers-process.ts");
  const runners: Runner[] = house.sides.flatMap((side) => [
    { side, stream: false, measured: [] },
    { side, stream: true, measured: [] },
  ]);
  for (const runner of runners) await load(house, runner, size.warmUpSeconds);
  // all of a round before the next, so that whatever else the machine does falls on all
  for (let round = 0; round < size.rounds; round++) {
    for (const runner of runners) runner.measured.push(await load(house, runner, size.seconds));
  }
  const rows = runners.map((runner) => toRow(runner, runners));
  const rates = runners
    .filter(({ stream }) => stream)
    .map(({ side, measured }) => ({ side, perSecond: medianOf(measured).requestsPerS / 2 }));
  rows.push(...(await addedToFirstEvent(callers, house, rates, size)));
  for (const side of house.sides) rows.push(await holdStreams(callers, house, side, streams));
  return rows;
}

async function load({ provider }: ModelsHouse, { side, stream }: Runner, seconds: number): Promise<Measurement> {
  const { port, pids, credentials } = side;
  const upstream = `http://127.0.0.1:${provider.port}/v1`;
  return await measureWithWrk({ port, path: CHAT_PATH, connections: CONNECTIONS, seconds, upstream, credentials, pids, stream });
}

/** The CPU as a share is the median of what it is within each round, so that a slow round of the machine's counts for both. */
function toRow({ side, stream, measured }: Runner, runners: readonly Runner[]): Row {
  const { requestsPerS, p50Ms, p99Ms, cpuUsPerRequest } = medianOf(measured);
  const yardstick = runners.find((other) => other.side.name === MEASURE && other.stream === stream)?.measured ?? [];
  return {
    name: nameOf(side, stream ? "streams" : "whole"),
    cpuUsPerRequest: rounded(cpuUsPerRequest),
    ofPortkey: Number(median(measured.map((one, at) => one.cpuUsPerRequest / (yardstick[at]?.cpuUsPerRequest ?? Number.NaN))).toFixed(3)),
    requestsPerS: rounded(requestsPerS),
    p50Ms: rounded(p50Ms),
    p99Ms: rounded(p99Ms),
  };
}

function nameOf({ name }: ModelSide, what: string): string {
  return `${name}-${what}`;
}

/**
 * What is between a request for a stream and its first event more than when the provider itself is asked, at a fixed rate: half of what each gateway
 * has done of streams. The provider is asked at the same rate before each time; a row has the median difference.
 */
async function addedToFirstEvent(
  callers: ChildProcess,
  { provider }: ModelsHouse,
  rates: readonly { readonly side: ModelSide; readonly perSecond: number }[],
  { paceRounds, paceSeconds: seconds }: { readonly paceRounds: number; readonly paceSeconds: number },
): Promise<readonly Row[]> {
  const added = rates.map((): { readonly p50: number; readonly p99: number }[] => []);
  const pace = async (side: ModelSide, perSecond: number): Promise<{ readonly p50: number; readonly p99: number }> => {
    const { firstEventMs } = await order(callers, { kind: "pace", port: side.port, requests: side.streams(MODEL), perSecond, seconds });
    const sorted = Float64Array.from(firstEventMs).toSorted();
    const at = (share: number): number => sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)] ?? Number.NaN;
    return { p50: at(0.5), p99: at(0.99) };
  };
  for (let round = 0; round < paceRounds; round++) {
    for (const [at, { side, perSecond }] of rates.entries()) {
      const direct = await pace(provider, perSecond);
      const through = await pace(side, perSecond);
      added[at]?.push({ p50: through.p50 - direct.p50, p99: through.p99 - direct.p99 });
    }
  }
  return rates.map(({ side, perSecond }, at) => ({
    name: nameOf(side, "added-to-first-event-at-half-load"),
    requestsPerS: rounded(perSecond),
    p50Ms: rounded(median((added[at] ?? []).map(({ p50 }) => p50))),
    p99Ms: rounded(median((added[at] ?? []).map(({ p99 }) => p99))),
  }));
}

/** Opens streams that the provider holds after their first event, takes the memory, and lets them all go on to their end. Ours have to be in the ledger, each once. */
async function holdStreams(callers: ChildProcess, house: ModelsHouse, side: ModelSide, count: number): Promise<Row> {
  const open = async (more: number): Promise<void> => {
    const requests = side.streams(HELD_MODEL);
    await order(callers, { kind: "open", port: side.port, requests, count: more });
  };
  await open(FIRST_STREAMS);
  const before = memoryOf(side);
  await open(count);
  const after = memoryOf(side);
  house.finishHeld();
  const { whole } = await order(callers, { kind: "finish" });
  if (side === house.sides[0]) await house.ledgerHas(HELD_MODEL, whole);
  return {
    name: nameOf(side, `${count + FIRST_STREAMS}-open-streams`),
    whole,
    lost: count + FIRST_STREAMS - whole,
    rssMiB: after,
    kibPerStream: rounded(((after - before) * KIB) / count),
  };
}

function memoryOf({ pids }: ModelSide): number {
  return pids.reduce((sum, pid) => sum + residentMiB(pid), 0);
}

/** Throws when one stream was lost. */
async function order(callers: ChildProcess, what: CallersOrder): Promise<CallersReport> {
  callers.send(what);
  const report = await nextMessage<CallersReport>(callers);
  if (report.lost > 0) throw new Error(`${report.lost} streams were lost: ${report.reason}`);
  return report;
}
