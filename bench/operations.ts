import { type Bench, type BenchOptions, type Row, rounded } from "./bench.ts";
import { residentMiB } from "./child.ts";
import { type OperationsHouse, openOperationsHouse, startAgent } from "./operations-house.ts";
import { type LoadGenerator, startLoadGenerator } from "./load.ts";
import { type Measurement, medianOf } from "./measure.ts";
import { openPostgres } from "./postgres.ts";

const CONCURRENCIES = [1, 32] as const;
const FULL = { rounds: 3, roundMs: 1_200, warmUpMs: 600 } as const;
const QUICK = { rounds: 1, roundMs: 250, warmUpMs: 100 } as const;

/** One line of the table, with what was measured for it so far. */
interface Cell {
  readonly name: string;
  readonly rssMiB: () => number;
  readonly measure: (durationMs: number) => Promise<Measurement>;
  readonly measured: Measurement[];
}

/** Requests per second, latency, CPU and memory of the whole way through, per kind of request, credential and engine. */
export const operationsBench: Bench = { name: "operations", run: measureOperations };

async function measureOperations({ quick }: BenchOptions): Promise<readonly Row[]> {
  await using ends = new AsyncDisposableStack();
  const agentUrl = await startAgent(ends);
  const load = startLoadGenerator(ends);
  const houses = [
    await openOperationsHouse(ends, undefined, agentUrl),
    await openOperationsHouse(ends, await openPostgres(ends), agentUrl),
  ];
  const cells = houses.flatMap((house) => cellsOf(house, load));
  const { rounds, roundMs, warmUpMs } = quick ? QUICK : FULL;
  for (const cell of cells) await cell.measure(warmUpMs);
  // all of a round before the next, so that whatever else the machine does falls on all
  for (let round = 0; round < rounds; round++) for (const cell of cells) cell.measured.push(await cell.measure(roundMs));
  return cells.map(toRow);
}

function cellsOf({ engine, freehold, cases }: OperationsHouse, load: LoadGenerator): readonly Cell[] {
  const port = Number(new URL(freehold.url).port);
  return cases.flatMap(({ name, requests }) =>
    CONCURRENCIES.map((concurrency) => ({
      name: `${engine} ${name} c${concurrency}`,
      rssMiB: () => residentMiB(freehold.pid),
      measure: async (durationMs: number) => await load.measure(freehold.pid, { port, requests, concurrency, durationMs, status: 200 }),
      measured: [],
    })),
  );
}

function toRow({ name, measured, rssMiB }: Cell): Row {
  const { requestsPerS, p50Ms, p99Ms, cpuUsPerRequest } = medianOf(measured);
  return {
    name,
    requestsPerS: rounded(requestsPerS),
    p50Ms: rounded(p50Ms),
    p99Ms: rounded(p99Ms),
    cpuUsPerRequest: rounded(cpuUsPerRequest),
    rssMiB: rssMiB(),
  };
}
