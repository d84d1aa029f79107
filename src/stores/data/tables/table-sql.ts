import { sealedCheck } from "../sealed/sealed-tables.ts";
import type { TableDefinition, TableReference, TableSearch } from "./define-tables.ts";

/** The home for which a table is made. */
export interface TableTarget {
  readonly schema: string;
  /** Whether many tenants have their rows in it: then the engine tells them apart by row security, and searches go through functions. */
  readonly shared: boolean;
  /** The SQL that puts a table of the home under its tenant. */
  readonly guard: (table: string) => string;
  /** The SQL that follows when all tables of a step are made. */
  readonly made: string;
}

/** The SQL that makes an application's table in a home: with the tenant's column in front of its key, references and indexes. */
export function createTableSql(table: string, definition: TableDefinition, target: TableTarget): string {
  const { columns, key, unique = [], references = [], indexes = [], search = {}, sealed = [] } = definition;
  const parts = [
    "tenant_id uuid not null default tenant()",
    ...Object.entries(columns).map(([column, type]) => `${column} ${type}`),
    `primary key (${led(key)})`,
    ...unique.map((each) => `unique (${led(each)})`),
    ...references.map((reference) => referenceSql(reference, target)),
    ...sealed.map(sealedCheck),
  ];
  return [
    `create table ${target.schema}.${table} (\n  ${parts.join(",\n  ")})`,
    ...indexes.map((each) => `create index on ${target.schema}.${table} (${led(each)})`),
    target.guard(table).trim().replace(/;$/, ""),
    ...Object.entries(search).map(([name, each]) => searchSql(table, name, each, target)),
  ].join(";\n");
}

/** The SQL that adds sealed columns to a table of a home. */
export function sealColumnsSql(table: string, columns: readonly string[], { schema }: TableTarget): string {
  return `alter table ${schema}.${table} ${columns.map((column) => `add column ${column} bytea, add ${sealedCheck(column)}`).join(", ")}`;
}

function led(columns: readonly string[]): string {
  return ["tenant_id", ...columns].join(", ");
}

function referenceSql({ columns, table, onDelete = "restrict" }: TableReference, { schema }: TableTarget): string {
  const action = onDelete === "set null" ? `set null (${columns.join(", ")})` : onDelete;
  return `foreign key (${led(columns)}) references ${schema}.${table} on delete ${action}`;
}

/**
 * An index, and a function that uses it. Under row security `@@` and `@>` may not look at a row before the policy has (they are not marked
 * leakproof), so no index can answer them. The function runs as the owner, for whom the policy is open, takes no tenant, and gives the
 * rows of the tenant in force alone; what the caller asks beyond that is evaluated outside it, on rows that are the tenant's.
 * In a home of one tenant it is an ordinary function that the planner looks into.
 */
function searchSql(table: string, name: string, { column, by }: TableSearch, { schema, shared }: TableTarget): string {
  const [argument, operator] = by === "text" ? ["tsquery", "@@"] : ["jsonb", "@>"];
  const order = by === "text" ? ` order by ts_rank(s.${column}, question) desc` : "";
  const tenant = shared ? "freehold.tenant()" : `${schema}.tenant()`;
  const rights = shared ? "security definer set search_path = pg_catalog, pg_temp" : "";
  const signature = `${schema}.search_${table}_${name}(question ${argument}, most integer)`;
  return `create index on ${schema}.${table} using gin (${column}${by === "json" ? " jsonb_path_ops" : ""});
create function ${signature} returns setof ${schema}.${table} language sql stable parallel safe rows 100 ${rights} as
  $$ select s.* from ${schema}.${table} s where s.tenant_id = ${tenant} and s.${column} ${operator} question${order} limit most $$`;
}
