/** What a number of callers in a closed loop saw: each asks again as soon as it is answered. */
export interface Measurement {
  readonly requestsPerS: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** CPU of the process under measurement, user and system together, per request. */
  readonly cpuUsPerRequest: number;
  /** CPU of the database's processes, where they are others. */
  readonly databaseCpuUsPerRequest: number;
}

/** Something to measure for so many milliseconds. */
export type Variant = (durationMs: number) => Promise<Measurement>;

/**
 * Calls `request` from `concurrency` loops of this process; the CPU is this process's own, its threads included. `databaseCpuUs` tells how
 * much CPU the database's processes have used so far.
 */
export async function measureLoop(
  concurrency: number,
  durationMs: number,
  request: () => Promise<unknown>,
  databaseCpuUs: () => number = () => 0,
): Promise<Measurement> {
  const latencies: number[] = [];
  const databaseCpu = databaseCpuUs();
  const cpu = process.cpuUsage();
  const startedMs = performance.now();
  const loop = async (): Promise<void> => {
    for (let at = performance.now(); at - startedMs < durationMs;) {
      await request();
      const now = performance.now();
      latencies.push(now - at);
      at = now;
    }
  };
  await Promise.all(Array.from({ length: concurrency }, loop));
  const elapsedMs = performance.now() - startedMs;
  const { user, system } = process.cpuUsage(cpu);
  return toMeasurement(latencies, elapsedMs, user + system, databaseCpuUs() - databaseCpu);
}

/** The figures of requests with these latencies, which together took so long and so much CPU. */
export function toMeasurement(latencies: readonly number[], elapsedMs: number, cpuUs: number, databaseCpuUs = 0): Measurement {
  const sorted = Float64Array.from(latencies).toSorted();
  return {
    requestsPerS: (sorted.length / elapsedMs) * 1000,
    p50Ms: quantile(sorted, 0.5),
    p99Ms: quantile(sorted, 0.99),
    cpuUsPerRequest: cpuUs / sorted.length,
    databaseCpuUsPerRequest: databaseCpuUs / sorted.length,
  };
}

/** The median of each figure by itself. */
export function medianOf(measurements: readonly Measurement[]): Measurement {
  const of = (pick: (measurement: Measurement) => number): number => median(measurements.map(pick));
  return {
    requestsPerS: of(({ requestsPerS }) => requestsPerS),
    p50Ms: of(({ p50Ms }) => p50Ms),
    p99Ms: of(({ p99Ms }) => p99Ms),
    cpuUsPerRequest: of(({ cpuUsPerRequest }) => cpuUsPerRequest),
    databaseCpuUsPerRequest: of(({ databaseCpuUsPerRequest }) => databaseCpuUsPerRequest),
  };
}

/** The value in the middle, or the mean of the two. */
export function median(values: readonly number[]): number {
  const sorted = Float64Array.from(values).toSorted();
  return (quantile(sorted, 0.5) + (sorted[Math.floor(sorted.length / 2)] ?? Number.NaN)) / 2;
}

/** Nearest rank. */
function quantile(sorted: Float64Array, share: number): number {
  return sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)] ?? Number.NaN;
}
