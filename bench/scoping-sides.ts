import type pg from "pg";
import type { TenantContext } from "../src/kernel/index.ts";
import { type DataStore, sql } from "../src/stores/data/index.ts";
import { createPicker } from "./tenants.ts";

/** What is done to one row of one tenant. */
export const OPERATIONS = ["select", "update", "insert"] as const;
export type RowOperation = (typeof OPERATIONS)[number];

/** One way to do them: each call takes another row of another tenant. */
export type Side = Readonly<Record<RowOperation, () => Promise<void>>>;

export const TENANTS = 200;
const ROWS_PER_TENANT = 1_000;

/** The columns and rows of a table for these tenants. */
export function tableSql(table: string, contexts: readonly TenantContext[]): string {
  const uuids = contexts.map(({ tenant }) => `('${tenant.uuid}'::uuid)`);
  return `
create table ${table} (
  tenant_id uuid not null, id integer not null, body text not null, amount integer not null default 0, primary key (tenant_id, id));
insert into ${table} (tenant_id, id, body)
  select t.id, n, repeat(md5(n::text), 4) from (values ${uuids.join(", ")}) as t (id), generate_series(1, ${ROWS_PER_TENANT}) as n;`;
}

/** Tenant and row numbers, the same for every side. */
function createRows(contexts: readonly TenantContext[]): { context(): TenantContext; existing(): number; fresh(): number } {
  const pick = createPicker();
  let newest = ROWS_PER_TENANT;
  return {
    context() {
      const context = contexts[pick(contexts.length)];
      if (!context) throw new Error("no tenants");
      return context;
    },
    existing: () => 1 + pick(ROWS_PER_TENANT),
    fresh: () => ++newest,
  };
}

/** Through the data store: a handle of the tenant for each statement, as for a request. */
export function scopedSide(store: DataStore, contexts: readonly TenantContext[]): Side {
  const rows = createRows(contexts);
  return {
    async select() {
      const context = rows.context();
      const { uuid } = context.tenant;
      const found = await store
        .forTenant(context)
        .query(sql`select id, body, amount from freehold.bench_rows where tenant_id = ${uuid} and id = ${rows.existing()}`);
      assertOne(found.count);
    },
    async update() {
      const context = rows.context();
      const { uuid } = context.tenant;
      const changed = await store
        .forTenant(context)
        .query(sql`update freehold.bench_rows set amount = amount + 1 where tenant_id = ${uuid} and id = ${rows.existing()}`);
      assertOne(changed.count);
    },
    async insert() {
      const context = rows.context();
      const { uuid } = context.tenant;
      const added = await store
        .forTenant(context)
        .query(sql`insert into freehold.bench_rows (tenant_id, id, body) values (${uuid}, ${rows.fresh()}, 'new')`);
      assertOne(added.count);
    },
  };
}

/** By hand: named statements of stock node-postgres with the tenant in the WHERE, on a table without row security. */
export function plainSide(pool: pg.Pool, contexts: readonly TenantContext[]): Side {
  const rows = createRows(contexts);
  const run = async (name: RowOperation, text: string, id: number): Promise<void> => {
    const { rowCount } = await pool.query({ name, text, values: [rows.context().tenant.uuid, id] });
    assertOne(rowCount);
  };
  return {
    select: () => run("select", "select id, body, amount from bench.rows where tenant_id = $1 and id = $2", rows.existing()),
    update: () => run("update", "update bench.rows set amount = amount + 1 where tenant_id = $1 and id = $2", rows.existing()),
    insert: () => run("insert", "insert into bench.rows (tenant_id, id, body) values ($1, $2, 'new')", rows.fresh()),
  };
}

function assertOne(count: number | null): void {
  if (count !== 1) throw new Error(`a statement about one row had ${String(count)}`);
}
