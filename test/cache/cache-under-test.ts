import { after } from "node:test";
import { type Clock, type Fault, systemClock, systemRandom } from "../../src/kernel/index.ts";
import { type CacheStore, createCacheStore, createMemoryCache, createRedisCache } from "../../src/stores/cache/index.ts";
import type { VaultStore } from "../../src/stores/vault/index.ts";
import { createEngine } from "../support/engines.ts";
import { startRedis, type TestRedis } from "../support/redis.ts";
import { until } from "../support/until.ts";
import { openVault } from "../support/vaults.ts";

/** What a test may change about a cache. */
export interface CacheChange {
  readonly clock?: Clock;
  readonly reports?: Fault[];
  readonly vault?: VaultStore;
  /** Where Redis is reached, for one that is not reached directly. */
  readonly url?: string;
  readonly timeoutMs?: number;
}

/** One engine under the cache, for tests that hold for all. */
export interface CacheEngineUnderTest {
  readonly name: "memory" | "Redis";
  /** As one process has it; with Redis several share it. Resolves when it can be used. */
  open(change?: CacheChange): Promise<CacheStore>;
}

const ends: (() => Promise<void>)[] = [];
let vault: Promise<VaultStore> | undefined;
let redis: Promise<TestRedis> | undefined;

// for the test file as a whole
after(async () => {
  for (const end of ends.splice(0).toReversed()) await end();
});

/** The test file's vault. */
export function vaultForCaches(): Promise<VaultStore> {
  vault ??= (async () => {
    const engine = createEngine("PGlite");
    ends.push(() => engine.close());
    const opened = await openVault((await engine.open()).system);
    ends.push(() => opened.close());
    return opened;
  })();
  return vault;
}

/** The test file's Redis. */
export function redisForCaches(): Promise<TestRedis> {
  redis ??= (async () => {
    const started = await startRedis();
    ends.push(() => started.kill());
    return started;
  })();
  return redis;
}

/** A cache over a Redis. */
export async function openRedisCache(change: CacheChange = {}): Promise<CacheStore & { readonly changes: boolean[] }> {
  const { clock = systemClock, reports = [], timeoutMs = 10_000 } = change;
  const url = change.url ?? (await redisForCaches()).url;
  const changes: boolean[] = [];
  const engine = createRedisCache({ url, random: systemRandom, timeoutMs, onChange: (reached) => void changes.push(reached) });
  const cache = createCacheStore({
    engine,
    vault: change.vault ?? (await vaultForCaches()),
    clock,
    report: (fault) => void reports.push(fault),
  });
  ends.push(() => cache.close());
  await until("Redis is reached", () => changes.at(-1) === true);
  return { ...cache, changes };
}

/** Memory that no test fills, unless it says so. */
export async function openMemoryCache(change: CacheChange & { bytesMax?: number; bytesPerTenantMax?: number } = {}): Promise<CacheStore> {
  const { clock = systemClock, reports = [], bytesMax = 10_000_000, bytesPerTenantMax = bytesMax } = change;
  return createCacheStore({
    engine: createMemoryCache({ bytesMax, bytesPerTenantMax }, clock),
    vault: change.vault ?? (await vaultForCaches()),
    clock,
    report: (fault) => void reports.push(fault),
  });
}

/** Every adapter of the port. */
export const CACHE_ENGINES: readonly CacheEngineUnderTest[] = [
  { name: "memory", open: openMemoryCache },
  { name: "Redis", open: openRedisCache },
];
