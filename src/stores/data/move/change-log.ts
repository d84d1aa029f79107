import { createHash } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";
import pg from "pg";
import { Fault } from "../../../kernel/index.ts";
import { MOVED_STATE } from "../tenant-context.ts";
import type { TenantTable } from "../table-list.ts";

/** Making a trigger waits for those who write the table, and whoever writes next waits behind it: so it waits only so long at a time. */
const LOCK_WAIT_MS = 50;
const LOCK_TRIES_MAX = 400;
const LOCK_PAUSE_MS = 25;

/** A table whose changes are noted. */
export interface LoggedTable extends Pick<TenantTable, "name" | "relation" | "key"> {
  /** Whether only new rows are of interest. */
  readonly insertsOnly?: boolean;
}

/** Names the tenant in the names of triggers and functions. */
function mark(tenant: string): string {
  return `mv_${createHash("sha256").update(tenant).digest("hex").slice(0, 16)}`;
}

/** The advisory lock of a tenant's writes: whoever writes while it is moved holds it as a reader, whoever switches as the writer. */
export function fenceKey(tenant: string): string {
  return createHash("sha256").update(`fence ${tenant}`).digest().readBigInt64BE().toString();
}

/**
 * From its commit on, every change of the tenant's rows in this table is noted, and waits at the fence while that is closed; once the
 * tenant has moved, it is refused. The tables of other tenants are not concerned, nor are other tenants' rows in shared tables.
 */
export async function startLog(
  client: pg.ClientBase,
  table: LoggedTable,
  { tenant, owner, place }: { readonly tenant: string; readonly owner: string; readonly place: number },
): Promise<void> {
  const name = `${mark(tenant)}_${place}`;
  const key = (row: string): string => `jsonb_build_array(${table.key.map((column) => `${row}.${column}::text`).join(", ")})`;
  const note = (row: string): string =>
    `insert into freehold_private.move_log (tenant_id, relation, key) values ('${tenant}', '${table.name}', ${key(row)});`;
  const changed = table.key.map((column) => `new.${column} is distinct from old.${column}`).join(" or ");
  await withLock(
    client,
    `set local role ${owner};
create or replace function freehold_private.${name}() returns trigger language plpgsql security definer set search_path = pg_catalog as $fn$
begin
  perform pg_advisory_xact_lock_shared(${fenceKey(tenant)});
  if exists (select from freehold_private.fences f where f.tenant_id = '${tenant}' and f.closed) then
    raise exception 'the tenant has moved' using errcode = '${MOVED_STATE}';
  end if;
  if tg_op = 'INSERT' then
    ${note("new")}
  else
    ${note("old")}
    if tg_op = 'UPDATE' then
      if ${changed} then ${note("new")} end if;
    end if;
  end if;
  return null;
end $fn$;
revoke all on function freehold_private.${name}() from public;
reset role;
${triggers(name)
  .filter(({ event }) => table.insertsOnly !== true || event === "insert")
  .map(
    ({ trigger, event, when }) => `drop trigger if exists ${trigger} on ${table.relation};
create trigger ${trigger} after ${event} on ${table.relation} for each row when (${when}.tenant_id = '${tenant}')
  execute function freehold_private.${name}();`,
  )
  .join("\n")}`,
  );
}

/** Takes the notes' triggers away again, wherever they still are in this database, with all that was noted. */
export async function endLog(client: pg.ClientBase, tenant: string): Promise<void> {
  const { rows } = await client.query<{ trigger: string; relation: string }>(
    `select g.tgname::text as trigger, format('%I.%I', n.nspname, c.relname) as relation from pg_catalog.pg_trigger g
     join pg_catalog.pg_class c on c.oid = g.tgrelid join pg_catalog.pg_namespace n on n.oid = c.relnamespace
     where g.tgname like $1 and not g.tgisinternal`,
    [`${mark(tenant).replaceAll("_", "\\_")}\\_%`],
  );
  for (const { trigger, relation } of rows) await withLock(client, `drop trigger if exists ${trigger} on ${relation}`);
  await client.query(
    `do $drop$ declare f record; begin
       for f in select p.oid::regprocedure as name from pg_catalog.pg_proc p
         where p.pronamespace = 'freehold_private'::regnamespace and p.proname like '${mark(tenant).replaceAll("_", "\\_")}\\_%'
       loop execute format('drop function %s', f.name); end loop;
     end $drop$;
     delete from freehold_private.move_log where tenant_id = '${tenant}'; delete from freehold_private.fences where tenant_id = '${tenant}'`,
  );
}

function triggers(name: string): readonly { readonly trigger: string; readonly event: string; readonly when: "new" | "old" }[] {
  return [
    { trigger: `${name}_i`, event: "insert", when: "new" },
    { trigger: `${name}_u`, event: "update", when: "new" },
    { trigger: `${name}_d`, event: "delete", when: "old" },
  ];
}

/** Runs the SQL in a transaction that gives up a lock it does not get at once, and tries again. */
async function withLock(client: pg.ClientBase, text: string): Promise<void> {
  for (let tries = 1; ; tries++) {
    try {
      await client.query(`begin; set local lock_timeout = ${LOCK_WAIT_MS}; ${text}; commit`);
      return;
    } catch (error) {
      await client.query("rollback");
      if (!isLocked(error)) throw error;
      if (tries === LOCK_TRIES_MAX) throw busy(error);
      await pause(LOCK_PAUSE_MS);
    }
  }
}

/** Whether a lock was not given in time, or two waited for each other. */
export function isLocked(error: unknown): boolean {
  return error instanceof pg.DatabaseError && (error.code === "55P03" || error.code === "40P01");
}

/** What a move is given up with when somebody holds on to the tables for too long. */
export function busy(cause: unknown): Fault {
  const detail = "The tables stayed locked by other transactions for too long. Nothing has changed; try again.";
  return new Fault("overloaded", detail, { cause, public: { detail } });
}
