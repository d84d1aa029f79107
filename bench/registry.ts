import assert from "node:assert/strict";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { parseTenantId, systemClock, type TenantId } from "../src/kernel/index.ts";
import { createDataStore, type DataStore } from "../src/stores/data/index.ts";
import { createRegistry, type Registry, REGISTRY_BOUNDS, type RegistryBounds } from "../src/tenancy/registry/index.ts";
import { type Bench, type BenchOptions, rounded, type Row } from "./bench.ts";
import { median } from "./measure.ts";
import { administer, type BenchDatabase, type BenchServer, openPostgres } from "./postgres.ts";
import { benchPorts, createPicker } from "./tenants.ts";

const MIB = 1024 ** 2;
const DOMAINS = 100_000;
const CONNECTIONS_MAX = 12;
/** Fewer snapshots than this do not stand out from everything else in the heap. */
const COUNTABLE = 1_000;

/** How often each thing is measured. */
interface Rounds {
  readonly cachedRounds: number;
  readonly cachedLookups: number;
  readonly uncachedLookups: number;
  readonly pages: number;
  readonly changes: number;
}

const FULL: Rounds = { cachedRounds: 9, cachedLookups: 2_000_000, uncachedLookups: 2_000, pages: 300, changes: 50 };
const QUICK: Rounds = { cachedRounds: 3, cachedLookups: 200_000, uncachedLookups: 200, pages: 30, changes: 10 };

/** Look-up, memory, start-up and spread of changes of the registry over PostgreSQL, with few tenants and with very many. */
export const registryBench: Bench = { name: "registry", run: benchRegistry };

/** One row per number of tenants. */
export async function benchRegistry({ quick }: BenchOptions): Promise<readonly Row[]> {
  await using ends = new AsyncDisposableStack();
  const server = await openPostgres(ends);
  const rows: Row[] = [];
  for (const tenants of quick ? [10, 10_000] : [10, 10_000, 1_000_000]) {
    rows.push(await measureWith(server, tenants, quick ? QUICK : FULL));
  }
  return rows;
}

async function measureWith(server: BenchServer, tenants: number, rounds: Rounds): Promise<Row> {
  await using ends = new AsyncDisposableStack();
  const database = await server.create();
  const open = async (): Promise<DataStore> => {
    const store = await createDataStore({ kind: "postgres", url: database.url, connectionsMax: CONNECTIONS_MAX }, benchPorts());
    ends.defer(() => store.close());
    return store;
  };
  const [store, otherStore] = [await open(), await open()];
  const elsewhere = await openRegistry(ends, otherStore);
  const insertS = await insertTenants(database, tenants);
  const floodMs = await timeOfChange(elsewhere, await openRegistry(ends, store), idOf(1));
  const [emptyStartMs, domainStartMs] = [await startMs(store), await startWithDomainsMs(database, store, tenants)];
  const memory = await fill(ends, store, tenants);
  const held = Math.min(tenants, REGISTRY_BOUNDS.tenantsMax);
  const uncachedUs = await uncachedLookupUs(ends, store, tenants, rounds);
  return {
    name: `${tenants.toLocaleString("en")} tenants`,
    "cached look-up, ns": rounded(cachedLookupNs(memory.registry, held, rounds)),
    "uncached look-up, p50 µs": rounded(uncachedUs),
    "page of 100, p50 µs": rounded(await pageUs(memory.registry, tenants, rounds)),
    "change seen elsewhere, p50 ms": rounded(await changeMs(memory.registry, elsewhere, rounds)),
    "start, ms": rounded(emptyStartMs),
    "start with 100,000 domains, ms": rounded(domainStartMs),
    "snapshots in memory": held,
    "heap before, MiB": rounded(memory.before / MIB),
    "heap after, MiB": rounded(memory.after / MIB),
    "bytes per snapshot": held < COUNTABLE ? "" : Math.round((memory.after - memory.before) / held),
    "all inserted at once, s": rounded(insertS),
    "first change seen after that, ms": rounded(floodMs),
  };
}

function idOf(number: number): TenantId {
  const id = parseTenantId(`tenant-${number}`);
  if (id === undefined) throw new Error(`tenant-${number} is no tenant id`);
  return id;
}

async function createOver(store: DataStore, bounds?: RegistryBounds): Promise<Registry> {
  // nothing here has a secret
  const vault = { forTenant: () => assert.fail("no vault"), newestVersions: () => assert.fail("no vault") };
  const notes = { keyRevoked: async () => {}, suspended: async () => {}, resumed: async () => {} };
  return await createRegistry({ ...benchPorts(), system: store.system, vault, clock: systemClock, checkUrl: () => {}, notes }, bounds);
}

async function openRegistry(ends: AsyncDisposableStack, store: DataStore, bounds?: RegistryBounds): Promise<Registry> {
  const registry = await createOver(store, bounds);
  ends.defer(() => registry.close());
  return registry;
}

/** All in one statement, with the feed at work: it is told of every one of them. */
async function insertTenants(database: BenchDatabase, tenants: number): Promise<number> {
  const startedMs = performance.now();
  await administer(
    database.superuserUrl,
    `insert into freehold.tenants (uuid, id, plan, status, document)
     select gen_random_uuid(), 'tenant-' || n, 'starter', 'active', jsonb_build_object('name', 'Tenant ' || n, 'locale', 'en',
       'agentConfig', jsonb_build_object('protocol', 'webhook', 'invokeUrl', 'https://agent-' || n || '.example.com/invoke'))
     from generate_series(1, $1) n`,
    [tenants],
  );
  const seconds = (performance.now() - startedMs) / 1000;
  await administer(database.superuserUrl, "vacuum analyze");
  return seconds;
}

/** From the call of `update` at one registry until the other has it, the latter having the tenant in memory. */
async function timeOfChange(there: Registry, here: Registry, id: TenantId): Promise<number> {
  await there.find(id);
  const seen = new Promise<number>((resolve) => {
    there.onTenantChange((ids) => {
      if (ids.includes(id)) resolve(performance.now());
    });
  });
  const startedMs = performance.now();
  await here.update(id, { name: `Changed at ${startedMs}` });
  return (await seen) - startedMs;
}

async function changeMs(here: Registry, there: Registry, { changes }: Rounds): Promise<number> {
  const times: number[] = [];
  for (let at = 0; at < changes; at++) times.push(await timeOfChange(there, here, idOf((at % 10) + 1)));
  return median(times);
}

async function startMs(store: DataStore): Promise<number> {
  const startedMs = performance.now();
  const registry = await createOver(store);
  const ms = performance.now() - startedMs;
  await registry.close();
  return ms;
}

/** The domains belong to the first tenants, several to one where there are few. */
async function startWithDomainsMs(database: BenchDatabase, store: DataStore, tenants: number): Promise<number> {
  await administer(
    database.superuserUrl,
    `insert into freehold.tenant_domains (host, tenant_id)
     select 'host-' || n || '.example.com', t.uuid from generate_series(1, $1) n
     join freehold.tenants t on t.id = 'tenant-' || (n % least($2, $1) + 1)`,
    [DOMAINS, tenants],
  );
  await administer(database.superuserUrl, "vacuum analyze");
  return await startMs(store);
}

interface Filled {
  readonly registry: Registry;
  /** Bytes of the heap and of buffers outside it. */
  readonly before: number;
  readonly after: number;
}

/** A registry with as many snapshots in memory as it holds. */
async function fill(ends: AsyncDisposableStack, store: DataStore, tenants: number): Promise<Filled> {
  const registry = await openRegistry(ends, store);
  const before = await heapBytes();
  const held = Math.min(tenants, REGISTRY_BOUNDS.tenantsMax);
  const batch = 500;
  for (let at = 0; at < held; at += batch) {
    await Promise.all(Array.from({ length: Math.min(batch, held - at) }, async (_, more) => await registry.find(idOf(at + more + 1))));
  }
  return { registry, before, after: await heapBytes() };
}

async function heapBytes(): Promise<number> {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void; // the flag above makes it
  for (let times = 0; times < 3; times++) {
    collect();
    await new Promise((resolve) => setImmediate(resolve)); // what was waiting for the collection lets go in a later step
  }
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

function cachedLookupNs(registry: Registry, held: number, { cachedRounds, cachedLookups }: Rounds): number {
  const pick = createPicker();
  const ids = Array.from({ length: 65_536 }, () => idOf(pick(held) + 1));
  const times: number[] = [];
  for (let round = 0; round < cachedRounds; round++) {
    const startedMs = performance.now();
    for (let at = 0; at < cachedLookups; at++) {
      const id = ids[at & 65_535];
      if (id === undefined || registry.find(id) instanceof Promise) throw new Error("a tenant was not in memory");
    }
    times.push(((performance.now() - startedMs) * 1e6) / cachedLookups);
  }
  return median(times);
}

/** With room for one snapshot only, every look-up of another tenant reads. */
async function uncachedLookupUs(
  ends: AsyncDisposableStack,
  store: DataStore,
  tenants: number,
  { uncachedLookups }: Rounds,
): Promise<number> {
  const registry = await openRegistry(ends, store, { tenantsMax: 1, keysMax: 1 });
  const pick = createPicker();
  const times: number[] = [];
  for (let at = 0; at < uncachedLookups; at++) {
    const found = registry.find(idOf(pick(tenants) + 1));
    if (!(found instanceof Promise)) continue; // the one that was asked for last
    const startedMs = performance.now();
    if ((await found) === undefined) throw new Error("a tenant was not found");
    times.push((performance.now() - startedMs) * 1000);
  }
  return median(times);
}

async function pageUs(registry: Registry, tenants: number, { pages }: Rounds): Promise<number> {
  const pick = createPicker();
  const times: number[] = [];
  for (let at = 0; at < pages; at++) {
    const after = idOf(pick(tenants) + 1);
    const startedMs = performance.now();
    await registry.list(after, 100);
    times.push((performance.now() - startedMs) * 1000);
  }
  return median(times);
}
