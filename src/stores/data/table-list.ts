import type pg from "pg";
import { SHARED_TABLES_SCHEMA } from "./home-builder.ts";
import type { Queryable } from "./port.ts";
import { sealedColumnsSql, type SealedTables } from "./sealed/sealed-tables.ts";
import { builtStatement } from "./sql.ts";

/** A table that holds rows of tenants, as the engine's catalogue has it. Names are quoted where they have to be. */
export interface TenantTable {
  readonly name: string;
  readonly relation: string;
  /** What a row is made of, without what the engine computes. The tenant's column is among it. */
  readonly columns: readonly string[];
  /** Types of the columns, in the same order. */
  readonly types: readonly string[];
  readonly key: readonly string[];
  /** Columns that hold values sealed with the tenant's own key. */
  readonly sealed: readonly string[];
  /** Names of the tables that its rows refer to. */
  readonly references: readonly string[];
  /** Whether whoever asks may delete from it. */
  readonly removable: boolean;
}

/** Where tables are looked up: a schema of one tenant, or the shared ones, by the role that tenants use there. */
export type TablesOf = { readonly schema: string } | { readonly app: string; readonly search?: string };

/**
 * The tables of a home, those that are referred to before those that refer. In shared rows (and in a database of one tenant, which has the
 * same shape) these are the tables of the platform and the application in which tenants read and write rows themselves.
 */
export async function readTables(client: pg.ClientBase, of: TablesOf): Promise<readonly TenantTable[]> {
  if ("schema" in of) return inOrder((await client.query<TenantTable>(listSql("n.nspname = $1"), [of.schema])).rows);
  const own = "case when n.nspname = 'freehold' and c.relname = 'points' and $2 <> '' then false when n.nspname = $2 then true else";
  const wanted = `${own} n.nspname in ('freehold', '${SHARED_TABLES_SCHEMA}') end
    and has_table_privilege($1, c.oid, 'select') and has_table_privilege($1, c.oid, 'insert')`;
  return inOrder((await client.query<TenantTable>(listSql(wanted), [of.app, of.search ?? ""])).rows);
}

/** The tables in which whoever asks reads and writes rows of one tenant: those of its home, and of the platform's those it shares. */
export async function ownTables(rows: Queryable): Promise<readonly TenantTable[]> {
  const wanted = `n.nspname <> 'pg_catalog' and n.nspname = any (pg_catalog.current_schemas(false)) and has_schema_privilege(n.oid, 'usage')
    and has_table_privilege(c.oid, 'select') and has_table_privilege(c.oid, 'insert')`;
  return inOrder((await rows.query<TenantTable>(builtStatement(listSql(wanted), []))).rows);
}

/** The tables with sealed columns in which whoever asks reads and writes rows of one tenant. */
export async function sealedTables(rows: Queryable): Promise<SealedTables> {
  const found = (await ownTables(rows)).filter(({ sealed }) => sealed.length > 0);
  const keyOf = ({ key }: TenantTable): readonly string[] => key.map(plainName).filter((column) => column !== "tenant_id");
  return new Map(found.map((table) => [table.name, { columns: table.sealed, key: keyOf(table) }]));
}

/** A column's name by itself: the catalogue quotes names that need it. */
export function plainName(column: string): string {
  return column.startsWith('"') ? column.slice(1, -1).replaceAll('""', '"') : column;
}

function listSql(wanted: string): string {
  return `select c.relname::text as name, format('%I.%I', n.nspname, c.relname) as relation,
     has_table_privilege(c.oid, 'delete') as removable,
     (select array_agg(quote_ident(a.attname) order by a.attnum) from pg_catalog.pg_attribute a
       where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and a.attgenerated = '') as columns,
     (select array_agg(format_type(a.atttypid, a.atttypmod) order by a.attnum) from pg_catalog.pg_attribute a
       where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and a.attgenerated = '') as types,
     (select array_agg(quote_ident(a.attname) order by k.place) from pg_catalog.pg_index i, unnest(i.indkey::int2[]) with ordinality k (attnum, place),
       pg_catalog.pg_attribute a where i.indrelid = c.oid and i.indisprimary and a.attrelid = c.oid and a.attnum = k.attnum) as key,
     ${sealedColumnsSql("c.oid")} as sealed,
     coalesce((select array_agg(distinct o.relname::text) from pg_catalog.pg_constraint f join pg_catalog.pg_class o on o.oid = f.confrelid
       where f.conrelid = c.oid and f.contype = 'f' and f.confrelid <> c.oid), '{}') as references
   from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
   where c.relkind in ('r', 'p') and ${wanted}
     and exists (select from pg_catalog.pg_attribute a where a.attrelid = c.oid and a.attname = 'tenant_id' and not a.attisdropped)
   order by c.relname`;
}

/** Those that are referred to first. Tables that refer to each other in a ring stay in the order of their names. */
function inOrder(tables: readonly TenantTable[]): readonly TenantTable[] {
  const sorted: TenantTable[] = [];
  let waiting = [...tables];
  while (waiting.length > 0) {
    const names = new Set(waiting.map(({ name }) => name));
    const ready = waiting.filter(({ references }) => !references.some((name) => names.has(name)));
    sorted.push(...(ready.length > 0 ? ready : waiting));
    waiting = ready.length > 0 ? waiting.filter((table) => !ready.includes(table)) : [];
  }
  return sorted;
}
