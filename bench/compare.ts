import { type BenchOptions, type Row, rounded } from "./bench.ts";
import { type Measurement, median, medianOf, type Variant } from "./measure.ts";

/** Two ways to do the same, measured in turn. */
export interface Comparison {
  readonly plain: Variant;
  readonly scoped: Variant;
}

const ROUNDS = 7;
const ROUND_MS = 800;
const WARM_UP_MS = 400;
const QUICK = { rounds: 3, roundMs: 150, warmUpMs: 100 } as const;

/**
 * Measures both in turn, each round the other one first, so that whatever else the machine does falls on both. `cost` is how many times as
 * many requests the plain one does in the same time, `cpuCost` how many times as much CPU the scoped one takes for each, its own and the
 * database's: medians over the rounds, each compared within itself.
 */
export async function compare(name: string, { plain, scoped }: Comparison, { quick }: BenchOptions): Promise<Row> {
  const { rounds, roundMs, warmUpMs } = quick ? QUICK : { rounds: ROUNDS, roundMs: ROUND_MS, warmUpMs: WARM_UP_MS };
  await plain(warmUpMs);
  await scoped(warmUpMs);
  const pairs: { readonly plain: Measurement; readonly scoped: Measurement }[] = [];
  for (let round = 0; round < rounds; round++) {
    if (round % 2 === 0) {
      const first = await plain(roundMs);
      pairs.push({ plain: first, scoped: await scoped(roundMs) });
    } else {
      const first = await scoped(roundMs);
      pairs.push({ plain: await plain(roundMs), scoped: first });
    }
  }
  return toRow(name, pairs);
}

function toRow(name: string, pairs: readonly { readonly plain: Measurement; readonly scoped: Measurement }[]): Row {
  const costs = pairs.map(({ plain, scoped }) => plain.requestsPerS / scoped.requestsPerS);
  const cpuCosts = pairs.map(({ plain, scoped }) => cpuOf(scoped) / cpuOf(plain));
  const before = medianOf(pairs.map(({ plain }) => plain));
  const after = medianOf(pairs.map(({ scoped }) => scoped));
  return {
    name,
    cost: Number(median(costs).toFixed(2)),
    costMin: Number(Math.min(...costs).toFixed(2)),
    costMax: Number(Math.max(...costs).toFixed(2)),
    cpuCost: Number(median(cpuCosts).toFixed(2)),
    plainPerS: rounded(before.requestsPerS),
    requestsPerS: rounded(after.requestsPerS),
    plainP50Ms: rounded(before.p50Ms),
    p50Ms: rounded(after.p50Ms),
    plainP99Ms: rounded(before.p99Ms),
    p99Ms: rounded(after.p99Ms),
    plainCpuUs: rounded(before.cpuUsPerRequest),
    cpuUsPerRequest: rounded(after.cpuUsPerRequest),
    plainDbCpuUs: rounded(before.databaseCpuUsPerRequest),
    dbCpuUs: rounded(after.databaseCpuUsPerRequest),
  };
}

function cpuOf({ cpuUsPerRequest, databaseCpuUsPerRequest }: Measurement): number {
  return cpuUsPerRequest + databaseCpuUsPerRequest;
}
