import type pg from "pg";
import { Fault } from "../../../kernel/index.ts";
import type { NumberedStep } from "./define-tables.ts";
import type { TableTarget } from "./table-sql.ts";

/** A home as the steps of an application's tables see it. */
export interface TablePlace {
  readonly target: TableTarget;
  /** The role that owns the home's tables. */
  readonly owner: string;
  readonly searchPath: string;
  /** SQL that notes in the same transaction that the home has the step. */
  note(step: NumberedStep): string;
}

/** Tables of tenants that a step has left without what keeps tenants apart. */
const LOOSE = `select c.oid::regclass::text as name from pg_catalog.pg_class c
  left join pg_catalog.pg_attribute t on t.attrelid = c.oid and t.attname = 'tenant_id' and not t.attisdropped
  where c.relnamespace = current_schema()::regnamespace and c.relkind in ('r', 'p') and (t.attnum is null or not t.attnotnull
    or exists (select from pg_catalog.pg_index i where i.indrelid = c.oid and i.indisunique and i.indkey[0] <> t.attnum)
    or exists (select from pg_catalog.pg_constraint f where f.conrelid = c.oid and f.contype = 'f' and f.conkey[1] <> t.attnum)
    or exists (select from pg_catalog.pg_trigger g where g.tgrelid = c.oid and not g.tgisinternal))`;

/**
 * Applies the step to one home: all of it, with the note of it, or nothing. Throws `invalid_settings` when its SQL fails or leaves a table
 * that does not keep tenants apart.
 */
export async function applyStep(client: pg.ClientBase, step: NumberedStep, place: TablePlace): Promise<void> {
  try {
    await client.query("begin");
    await client.query(`set local role ${place.owner}; set local search_path = ${place.searchPath}; set local lock_timeout = '5s'`);
    await client.query(step.sql(place.target));
    const { rows } = await client.query<{ name: string }>(LOOSE);
    if (rows[0]) throw new Error(`${rows[0].name} would not keep tenants apart: keys, unique indexes and references begin with tenant_id`);
    await client.query(`reset role; set local search_path = pg_catalog; ${place.note(step)}`);
    await client.query("commit");
  } catch (error) {
    await client.query("rollback");
    const detail = `Tables, step ${step.version} (${step.name}), in ${place.target.schema}: ${error instanceof Error ? error.message : String(error)}`;
    throw new Fault("invalid_settings", detail, { cause: error, public: { detail } });
  }
}
