import pg from "pg";
import { type DataModel, DATA_MODELS, type TenantContext } from "../src/kernel/index.ts";
import { createDataStore, type DataStore, defineTables, sql } from "../src/stores/data/index.ts";
import type { BenchOptions, Row } from "./bench.ts";
import { childrenCpuTimeUs } from "./child.ts";
import { compare } from "./compare.ts";
import { measureLoop, type Variant } from "./measure.ts";
import { administer, openPostgres } from "./postgres.ts";
import { benchPorts, benchTenants, createPicker } from "./tenants.ts";

const CONNECTIONS_MAX = 20;
const TENANT_CONNECTIONS = 15;
const ROWS_PER_TENANT = 1_000;
const CONCURRENCIES = [1, 32] as const;
/** As many as there are connections for, and three times as many. */
const TENANTS = { row: [40], schema: [10, 40], database: [10] } as const satisfies Record<DataModel, readonly number[]>;

/** The table of this bench, the same in every model. */
const TABLES = defineTables([
  { name: "rows", create: { bench_rows: { columns: { id: "integer not null", body: "text not null" }, key: ["id"] } } },
]);

/** Reading one row by its key in each model, against a named statement with the tenant in the WHERE on a table without row security. */
export async function modelFigures(options: BenchOptions): Promise<readonly Row[]> {
  const rows: Row[] = [];
  for (const model of DATA_MODELS) for (const tenants of TENANTS[model]) rows.push(...(await figuresOf(model, tenants, options)));
  return rows;
}

async function figuresOf(model: DataModel, tenants: number, options: BenchOptions): Promise<readonly Row[]> {
  await using ends = new AsyncDisposableStack();
  const server = await openPostgres(ends);
  const database = await server.create();
  const location = { kind: "postgres", url: database.url, connectionsMax: CONNECTIONS_MAX } as const;
  const store = await createDataStore(location, { ...benchPorts(), tables: TABLES });
  ends.defer(() => store.close());
  await store.fleet.up();
  const contexts = benchTenants(tenants);
  for (const context of contexts) await fill(store, context, model);
  await administer(database.superuserUrl, plainTable(contexts));
  await administer(database.superuserUrl, "vacuum analyze");
  const plain = new pg.Pool({ connectionString: database.url, max: TENANT_CONNECTIONS });
  plain.on("error", () => {}); // the statement that is under way fails with it
  ends.defer(() => plain.end());
  const cpu = (): number => childrenCpuTimeUs(server.pid);
  const rows: Row[] = [];
  for (const concurrency of CONCURRENCIES) {
    const loop =
      (request: () => Promise<void>): Variant =>
      (durationMs) =>
        measureLoop(concurrency, durationMs, request, cpu);
    const sides = { plain: loop(plainRead(plain, contexts)), scoped: loop(scopedRead(store, contexts)) };
    rows.push(await compare(`${model}, ${tenants} tenants, select c${concurrency}`, sides, options));
  }
  return rows;
}

async function fill(store: DataStore, context: TenantContext, model: DataModel): Promise<void> {
  await store.homes.place(context.tenant, model);
  await store.forTenant(context).query(sql`
    insert into bench_rows (id, body) select n, repeat(md5(n::text), 4) from generate_series(1, ${ROWS_PER_TENANT}::integer) n`);
}

function plainTable(contexts: readonly TenantContext[]): string {
  const uuids = contexts.map(({ tenant }) => `('${tenant.uuid}'::uuid)`).join(", ");
  return `create schema bench; create table bench.rows (tenant_id uuid not null, id integer not null, body text not null, primary key (tenant_id, id));
    insert into bench.rows select t.id, n, repeat(md5(n::text), 4) from (values ${uuids}) t (id), generate_series(1, ${ROWS_PER_TENANT}) n`;
}

function scopedRead(store: DataStore, contexts: readonly TenantContext[]): () => Promise<void> {
  const pick = createPicker();
  return async () => {
    const context = contexts[pick(contexts.length)];
    if (!context) throw new Error("no tenants");
    const { count } = await store
      .forTenant(context)
      .query(sql`select id, body from bench_rows where tenant_id = ${context.tenant.uuid} and id = ${1 + pick(ROWS_PER_TENANT)}`);
    if (count !== 1) throw new Error(`a statement about one row had ${count}`);
  };
}

function plainRead(pool: pg.Pool, contexts: readonly TenantContext[]): () => Promise<void> {
  const pick = createPicker();
  return async () => {
    const uuid = contexts[pick(contexts.length)]?.tenant.uuid;
    const text = "select id, body from bench.rows where tenant_id = $1 and id = $2";
    const { rowCount } = await pool.query({ name: "select", text, values: [uuid, 1 + pick(ROWS_PER_TENANT)] });
    if (rowCount !== 1) throw new Error(`a statement about one row had ${String(rowCount)}`);
  };
}
