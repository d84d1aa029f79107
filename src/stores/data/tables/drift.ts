import type pg from "pg";
import type { DataModel } from "../../../kernel/index.ts";
import type { Engine } from "../engine.ts";
import { TENANT_CONSTRAINT } from "../data-fault.ts";
import { SHARED_TABLES_SCHEMA } from "../home-builder.ts";
import type { HomeKeeper } from "../home-keeper.ts";

/** A part of a table that a home has and the shared rows do not, or the other way round. */
export interface TableDrift {
  /** The tenant's internal id. */
  readonly tenant: string;
  readonly model: DataModel;
  readonly table: string;
  readonly part: string;
  readonly found: "missing" | "unexpected";
}

interface Part {
  readonly place: string;
  readonly table: string;
  readonly part: string;
}

/**
 * Everything a table is made of, one row each, in words that do not name its schema: columns with their types and defaults, keys, references,
 * indexes. What keeps tenants apart is made differently in each model and is checked elsewhere.
 */
const PARTS = `
with tables as (
  select c.oid, c.relname::text as name, n.nspname::text as place from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
  where c.relkind in ('r', 'p') and n.nspname = any ($1)
), parts as (
  select t.place, t.name, 'column ' || a.attname || ' ' || format_type(a.atttypid, a.atttypmod) || case when a.attnotnull then ' not null' else '' end
    || coalesce(' default ' || pg_get_expr(d.adbin, d.adrelid), '') as part
  from tables t join pg_catalog.pg_attribute a on a.attrelid = t.oid and a.attnum > 0 and not a.attisdropped
    left join pg_catalog.pg_attrdef d on d.adrelid = t.oid and d.adnum = a.attnum
  union all select t.place, t.name, 'constraint ' || pg_get_constraintdef(c.oid)
  from tables t join pg_catalog.pg_constraint c on c.conrelid = t.oid and c.contype in ('p', 'u', 'f', 'c') and c.conname <> '${TENANT_CONSTRAINT}'
  union all select t.place, t.name, 'index ' || pg_get_indexdef(i.indexrelid)
  from tables t join pg_catalog.pg_index i on i.indrelid = t.oid
  where not exists (select from pg_catalog.pg_constraint c where c.conindid = i.indexrelid and c.contype in ('p', 'u'))
)
select place, name as table, replace(replace(replace(part, place || '.', ''), 'freehold.', ''), place || '_', '') as part from parts`;

/** The differences of all homes against the shared rows: one query for all schemas, and one for each database. */
export async function findDrift(engine: Engine, keeper: HomeKeeper): Promise<readonly TableDrift[]> {
  return await engine.administer(async (client) => {
    const { rows: homes } = await client.query<{ tenant: string; model: DataModel }>(
      "select tenant_id as tenant, model from freehold.homes where model <> 'row' order by epoch",
    );
    const schemas = new Map(homes.filter(({ model }) => model === "schema").map(({ tenant }) => [keeper.names(tenant).schema, tenant]));
    const expected = await readParts(client, [SHARED_TABLES_SCHEMA]);
    const platform = await readParts(client, ["freehold"]);
    const own = grouped(await readParts(client, [...schemas.keys()]));
    const found: TableDrift[] = [];
    for (const [schema, tenant] of schemas) {
      const parts = own.get(schema) ?? [];
      const names = new Set(parts.map(({ table }) => table));
      // of the platform's tables a schema has those of a tenant's home
      const wanted = [...expected, ...platform.filter(({ table }) => names.has(table))];
      found.push(...compare(tenant, "schema", wanted, parts));
    }
    for (const { tenant, model } of homes) {
      if (model !== "database") continue;
      const parts = await engine.administer((database) => readParts(database, [SHARED_TABLES_SCHEMA]), keeper.names(tenant).database);
      found.push(...compare(tenant, "database", expected, parts));
    }
    return found;
  });
}

async function readParts(client: pg.ClientBase, schemas: readonly string[]): Promise<readonly Part[]> {
  const { rows } = await client.query<Part>(PARTS, [schemas]);
  return rows;
}

function grouped(parts: readonly Part[]): ReadonlyMap<string, readonly Part[]> {
  return Map.groupBy(parts, ({ place }) => place);
}

function compare(tenant: string, model: DataModel, wanted: readonly Part[], there: readonly Part[]): TableDrift[] {
  const key = ({ table, part }: Part): string => `${table}\0${part}`;
  const [wantedKeys, thereKeys] = [new Set(wanted.map(key)), new Set(there.map(key))];
  const toDrift =
    (found: TableDrift["found"]) =>
    ({ table, part }: Part): TableDrift => ({ tenant, model, table, part, found });
  return [
    ...wanted.filter((part) => !thereKeys.has(key(part))).map(toDrift("missing")),
    ...there.filter((part) => !wantedKeys.has(key(part))).map(toDrift("unexpected")),
  ];
}
