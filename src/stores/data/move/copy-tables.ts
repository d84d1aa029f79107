import type pg from "pg";
import { Fault } from "../../../kernel/index.ts";
import type { TenantTable } from "../table-list.ts";
import { copyRows } from "./copy-stream.ts";
import type { MovePlan, TablePair } from "./move-plan.ts";

/** Keys of changed rows looked up by one statement. */
const KEYS_AT_ONCE = 1_000;

/** How many rows there are and a sum over all of them that does not depend on their order. */
export interface Checksum {
  readonly rows: number;
  readonly sum: string;
}

/** Copies all rows of the tenant. In one database it is one statement; between databases the rows stream through. */
export async function copyAll(plan: MovePlan, source: pg.ClientBase, target: pg.ClientBase, together: boolean): Promise<void> {
  for (const { from, to } of plan.pairs) {
    const rows = `select ${from.columns.join(", ")} from ${from.relation} where tenant_id = '${plan.tenant}'`;
    const into = `${to.relation} (${to.columns.join(", ")})`;
    if (together) await source.query(`insert into ${into} ${rows}`);
    else await copyRows(source, rows, target, into);
  }
}

/**
 * Takes what was noted since the last time, and brings those rows at the target to what they are at the source in this snapshot. Gives how
 * many rows it looked at. With `prove`, the rows are compared afterwards.
 */
export async function copyChanges(plan: MovePlan, source: pg.ClientBase, target: pg.ClientBase, prove: boolean): Promise<number> {
  const { rows: noted } = await source.query<{ relation: string; key: readonly string[] }>(
    `with gone as (delete from freehold_private.move_log where tenant_id = $1 returning relation, key)
     select relation, key from gone group by relation, key`,
    [plan.tenant],
  );
  const byTable = Map.groupBy(noted, ({ relation }) => relation);
  for (const pair of plan.pairs) {
    const keys = (byTable.get(pair.from.name) ?? []).map(({ key }) => key);
    for (let at = 0; at < keys.length; at += KEYS_AT_ONCE) {
      await replaceRows(pair, keys.slice(at, at + KEYS_AT_ONCE), source, target, prove);
    }
  }
  return noted.length;
}

async function replaceRows(
  { from, to }: TablePair,
  keys: readonly (readonly string[])[],
  source: pg.ClientBase,
  target: pg.ClientBase,
  prove: boolean,
): Promise<void> {
  const columns = from.key.map((_, at) => keys.map((key) => key[at] ?? null));
  const { rows } = await source.query<{ row: string }>(
    `select whole::text as row from ${from.relation} whole join ${keysOf(from)}`,
    columns,
  );
  await target.query(`delete from ${to.relation} whole using ${keysOf(to)}`.replace(" on ", " where "), columns);
  const texts = rows.map(({ row }) => row);
  // a row's own text goes through every type unchanged
  await target.query(
    `insert into ${to.relation} (${to.columns.join(", ")}) select ${to.columns.map((column) => `(q.r).${column}`).join(", ")}
     from (select x::${to.relation} as r from unnest($1::text[]) x offset 0) q`,
    [texts],
  );
  if (!prove) return;
  const { rows: there } = await target.query<{ row: string }>(
    `select whole::text as row from ${to.relation} whole join ${keysOf(to)}`,
    columns,
  );
  if (JSON.stringify(there.map(({ row }) => row).toSorted()) !== JSON.stringify(texts.toSorted())) throw unlike(from.name);
}

/** The keys as a list to join with: `unnest($1::text[], …) k (k0, …) on whole.<column> = k.k0::<type> and …`. */
function keysOf({ key, columns, types }: TenantTable): string {
  const typeOf = (column: string): string => types[columns.indexOf(column)] ?? "text";
  const lists = key.map((_, at) => `$${at + 1}::text[]`).join(", ");
  const names = key.map((_, at) => `k${at}`).join(", ");
  return `unnest(${lists}) k (${names}) on ${key.map((column, at) => `whole.${column} = k.k${at}::${typeOf(column)}`).join(" and ")}`;
}

/** The checksum of the tenant's rows in each table of one side, in the order of the plan. */
export async function checksums(plan: MovePlan, client: pg.ClientBase, side: "from" | "to"): Promise<readonly Checksum[]> {
  const sums: Checksum[] = [];
  for (const pair of plan.pairs) {
    const { rows } = await client.query<{ rows: string; sum: string }>(
      `select count(*)::text as rows, coalesce(sum(hashtextextended(whole::text, 0)::numeric), 0)::text as sum from ${pair[side].relation} whole
       where tenant_id = $1`,
      [plan.tenant],
    );
    sums.push({ rows: Number(rows[0]?.rows ?? 0), sum: rows[0]?.sum ?? "" });
  }
  return sums;
}

/** Throws unless both sides have the same rows. */
export function assertSame(plan: MovePlan, from: readonly Checksum[], to: readonly Checksum[]): void {
  for (const [at, { from: table }] of plan.pairs.entries()) {
    if (from[at]?.rows !== to[at]?.rows || from[at]?.sum !== to[at]?.sum) throw unlike(table.name);
  }
}

function unlike(table: string): Fault {
  return new Fault("internal", `the rows of ${table} are not the same in both homes`);
}
