import type { Roles } from "./roles.ts";

/**
 * Functions with effects that stay open to everyone. Every other volatile function of the engine is closed to PUBLIC: among them are all
 * that set a setting (set_config), run SQL handed to them (query_to_xml, ts_stat), lock (pg_advisory_*), notify, end other sessions, or
 * keep data outside tables (lo_*). The list names what may be used, so a function that a later version adds is closed.
 */
const OPEN_VOLATILE_FUNCTIONS = [
  "clock_timestamp",
  "gen_random_uuid",
  "random",
  "random_normal",
  "timeofday",
  "uuidv4",
  "uuidv7",
] as const;

/** Functions without effects that show other sessions, or read a table by name from inside an expression. */
const CLOSED_STABLE_FUNCTIONS = [
  "pg_stat_get_activity",
  "pg_stat_get_backend\\_%",
  "pg_stat_get_progress_info",
  "pg_prepared_statement",
  "pg_cursor",
  "pg_lock_status",
  "%\\_to\\_xml%",
  "ts_stat",
  "ts_rewrite",
] as const;

/**
 * SQL that takes from PUBLIC in this database what would let a statement leave its tenant, or see other sessions. Needs a superuser.
 * Safe to run again. Only this database is touched: functions are catalog rows of one database.
 */
export function hardeningSql(roles: Roles, database: string): string {
  const open = OPEN_VOLATILE_FUNCTIONS.map((name) => `'${name}'`).join(", ");
  const closed = CLOSED_STABLE_FUNCTIONS.map((pattern) => `'${pattern}'`).join(", ");
  return `
do $harden$
declare f regprocedure;
begin
  for f in
    select p.oid::regprocedure from pg_catalog.pg_proc p
    where p.pronamespace = 'pg_catalog'::regnamespace
      and p.prokind in ('f', 'p')
      and p.prorettype not in ('trigger'::regtype, 'event_trigger'::regtype)
      and ((p.provolatile = 'v' and p.proname <> all (array[${open}])) or p.proname like any (array[${closed}]))
      and has_function_privilege('public', p.oid, 'execute')
  loop
    execute format('revoke execute on function %s from public', f);
  end loop;
end $harden$;
revoke update on pg_catalog.pg_settings from public;
revoke all on pg_catalog.pg_largeobject_metadata from public;
revoke create, usage on schema public from public;
revoke temporary, connect on database "${database.replaceAll('"', '""')}" from public;
grant execute on function pg_catalog.set_config(text, text, boolean) to ${roles.owner};
grant execute on function pg_catalog.pg_notify(text, text) to ${roles.owner};
`;
}

/** SQL that makes the roles, or brings them back to what they must be. Each role's password comes as a SCRAM verifier. */
export function rolesSql(roles: Roles, database: string, verifiers: { readonly app: string; readonly system: string }): string {
  const name = `"${database.replaceAll('"', '""')}"`;
  return `
do $roles$
declare r text;
begin
  foreach r in array array['${roles.owner}', '${roles.app}', '${roles.system}'] loop
    if not exists (select from pg_catalog.pg_roles where rolname = r) then execute format('create role %I', r); end if;
  end loop;
end $roles$;
alter role ${roles.owner} nologin noinherit;
alter role ${roles.app} login noinherit password '${verifiers.app}';
alter role ${roles.system} login noinherit password '${verifiers.system}';
grant ${roles.owner} to current_user;
grant connect on database ${name} to ${roles.app}, ${roles.system};
grant connect, create on database ${name} to ${roles.owner};
`;
}
