import { type Bench, type BenchOptions, type Row, rounded } from "./bench.ts";
import { FAIRNESS, type FairnessHouse, openFairnessHouse } from "./fairness-house.ts";
import { type LoadGenerator, startLoadGenerator } from "./load.ts";
import { type Measurement, median } from "./measure.ts";

const FULL = { rounds: 5, roundMs: 4_000 } as const;
const QUICK = { rounds: 1, roundMs: 1_000 } as const;
/** How much longer the flood goes on than what is measured under it. */
const OVERLAP_MS = 600;

/** One way to be measured, with what was measured so far. */
interface Case {
  readonly name: string;
  readonly house: FairnessHouse;
  readonly order: "fair" | "arrival";
  readonly isFlooded: boolean;
  readonly measured: Measurement[];
}

/** What quiet tenants notice of one that sends fifty times its part: their latency, alone and beside it. */
export const fairnessBench: Bench = { name: "fairness", run: measureFairness };

async function measureFairness({ quick }: BenchOptions): Promise<readonly Row[]> {
  await using ends = new AsyncDisposableStack();
  const [quiet, flood] = [startLoadGenerator(ends), startLoadGenerator(ends)];
  const house = await openFairnessHouse(ends);
  const cases: readonly Case[] = [
    { name: "alone", house, order: "fair", isFlooded: false, measured: [] },
    { name: "beside a flood", house, order: "fair", isFlooded: true, measured: [] },
    { name: "beside a flood, first come first served", house, order: "arrival", isFlooded: true, measured: [] },
  ];
  const { rounds, roundMs } = quick ? QUICK : FULL;
  // all of a round before the next, so that whatever else the machine does falls on all
  for (let round = 0; round < rounds; round++) for (const each of cases) each.measured.push(await measureOne(each, quiet, flood, roundMs));
  const alone = cases[0]?.measured ?? [];
  return cases.map((each) => toRow(each, alone));
}

async function measureOne(
  { house, order, isFlooded }: Case,
  quiet: LoadGenerator,
  flood: LoadGenerator,
  durationMs: number,
): Promise<Measurement> {
  const { pid, port, requestOf } = house;
  const flooding = isFlooded
    ? flood.measure(pid, {
        port,
        requests: [requestOf("flood", order)],
        concurrency: FAIRNESS.flood,
        durationMs: durationMs + OVERLAP_MS,
        status: 200,
      })
    : undefined;
  const requests = Array.from({ length: FAIRNESS.quiet }, (_, at) => requestOf(`quiet-${at}`, order));
  const measured = await quiet.measure(pid, { port, requests, concurrency: FAIRNESS.quiet, durationMs, status: 200 });
  await flooding;
  return measured;
}

function toRow({ name, measured }: Case, alone: readonly Measurement[]): Row {
  const of = (pick: (measurement: Measurement) => number): number => median(measured.map(pick));
  // each round is compared with itself
  const ratios = measured.map(({ p99Ms }, round) => p99Ms / (alone[round]?.p99Ms ?? Number.NaN));
  return {
    name,
    requestsPerS: rounded(of(({ requestsPerS }) => requestsPerS)),
    p50Ms: rounded(of(({ p50Ms }) => p50Ms)),
    p99Ms: rounded(of(({ p99Ms }) => p99Ms)),
    p99ToAlone: Number(median(ratios).toFixed(2)),
  };
}
