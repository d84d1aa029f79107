import { createDataStore, defineTables, sql } from "../src/stores/data/index.ts";
import { type BenchOptions, type Row, rounded } from "./bench.ts";
import { administer, openPostgres } from "./postgres.ts";
import { benchPorts, benchTenants } from "./tenants.ts";

const FULL = { ledger: 10_000, schemas: 1_000 } as const;
const QUICK = { ledger: 1_000, schemas: 20 } as const;
const MIB = 1024 * 1024;

const FIRST = { name: "rows", create: { bench_rows: { columns: { id: "integer not null", body: "text not null" }, key: ["id"] } } };
const ONE = defineTables([FIRST]);
const TWO = defineTables([FIRST, { name: "colour", expand: "alter table bench_rows add column colour text" }]);

/** Many schemas in one process: what they take, a step over all of them, and finding out that there is nothing to do. */
export async function fleetFigures({ quick }: BenchOptions): Promise<readonly Row[]> {
  const { ledger, schemas } = quick ? QUICK : FULL;
  return [await ledgerFigures(ledger), ...(await schemaFigures(schemas))];
}

/** The ledger alone, filled with homes that are up to date. */
async function ledgerFigures(homes: number): Promise<Row> {
  await using ends = new AsyncDisposableStack();
  const database = await (await openPostgres(ends)).create();
  const store = await createDataStore({ kind: "postgres", url: database.url, connectionsMax: 4 }, { ...benchPorts(), tables: ONE });
  ends.defer(() => store.close());
  await store.fleet.up();
  await administer(
    database.superuserUrl,
    `insert into freehold.homes (tenant_id, model, epoch, login, tables_version, tables_digest)
     select gen_random_uuid(), 'schema', nextval('freehold.home_epoch'), 'login_' || n, 1, $1 from generate_series(1, ${homes}) n`,
    [ONE.digestAt(1)],
  );
  const startedMs = performance.now();
  const run = await store.fleet.up();
  if (run.homes !== 0) throw new Error("there was something to do");
  return { name: `nothing to migrate, ${homes} schemas`, elapsedMs: rounded(performance.now() - startedMs) };
}

async function schemaFigures(schemas: number): Promise<readonly Row[]> {
  await using ends = new AsyncDisposableStack();
  const { url } = await (await openPostgres(ends)).create();
  const location = { kind: "postgres", url, connectionsMax: 20 } as const;
  const store = await createDataStore(location, { ...benchPorts(), tables: ONE });
  ends.defer(() => store.close());
  await store.fleet.up();
  const contexts = benchTenants(schemas);
  const before = process.memoryUsage().rss;
  const madeMs = await timed(async () => {
    for (const { tenant } of contexts) await store.homes.place(tenant, "schema");
  });
  const askedMs = await timed(async () => {
    for (const context of contexts) await store.forTenant(context).query(sql`select count(*) from bench_rows`);
  });
  const after = process.memoryUsage().rss;
  const newer = await createDataStore(location, { ...benchPorts(), tables: TWO });
  ends.defer(() => newer.close());
  const migratedMs = await timed(async () => void (await newer.fleet.up()));
  const nothingMs = await timed(async () => void (await newer.fleet.up()));
  return [
    { name: `${schemas} schemas made, each`, elapsedMs: rounded(madeMs / schemas) },
    { name: `${schemas} schemas asked in turn, each with a login of its own`, elapsedMs: rounded(askedMs / schemas) },
    { name: `${schemas} schemas, a step that adds a column, each`, elapsedMs: rounded(migratedMs / schemas) },
    { name: `nothing to migrate, ${schemas} real schemas`, elapsedMs: rounded(nothingMs) },
    { name: `${schemas} schemas, memory of the process`, mib: rounded(after / MIB), mibMore: rounded((after - before) / MIB) },
  ];
}

async function timed(work: () => Promise<void>): Promise<number> {
  const startedMs = performance.now();
  await work();
  return performance.now() - startedMs;
}
