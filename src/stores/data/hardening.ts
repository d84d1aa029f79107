import type { Roles } from "./roles.ts";

/**
 * Functions with effects that stay open to everyone. Every other volatile function of the engine is closed to PUBLIC: among them are all
 * that set a setting (set_config), run SQL handed to them (query_to_xml, ts_stat), lock (pg_advisory_*), notify, end other sessions, or
 * keep data outside tables (lo_*). The list names what may be used, so a function that a later version adds is closed.
 */
export const OPEN_VOLATILE_FUNCTIONS = [
  "clock_timestamp",
  "gen_random_uuid",
  "random",
  "random_normal",
  "timeofday",
  "uuidv4",
  "uuidv7",
] as const;

/** Functions without effects that show other sessions or everybody's row counts, or run SQL by name from inside an expression. */
const CLOSED_STABLE_FUNCTIONS = [
  "pg\\_stat\\_get\\_%",
  "pg\\_prepared\\_statement",
  "pg\\_prepared\\_xact",
  "pg\\_cursor",
  "pg\\_lock\\_status",
  "pg\\_listening\\_channels",
  "pg\\_get\\_sequence\\_data",
  "%\\_to\\_xml%",
  "ts\\_stat",
  "ts\\_rewrite",
] as const;

/** Estimates over the rows of all tenants: with few tenants, one could work out how much another has. */
const CLOSED_CLASS_COLUMNS = ["reltuples", "relpages", "relallvisible", "relallfrozen"] as const;

/**
 * SQL that takes from PUBLIC in this database what would let a statement leave its tenant, or see other sessions. Needs a superuser.
 * Safe to run again. Only this database is touched: functions are catalog rows of one database.
 */
export function hardeningSql(roles: Roles): string {
  return `
do $harden$
declare
  f regprocedure;
  shown text;
begin
  for f in
    select p.oid::regprocedure from pg_catalog.pg_proc p join pg_catalog.pg_namespace n on n.oid = p.pronamespace
    where p.proowner <> '${roles.owner}'::regrole
      and p.prokind in ('f', 'p')
      and p.prorettype not in ('trigger'::regtype, 'event_trigger'::regtype)
      and ((p.provolatile = 'v' and (n.nspname <> 'pg_catalog' or p.proname <> all (array[${list(OPEN_VOLATILE_FUNCTIONS)}])))
        or p.proname like any (array[${list(CLOSED_STABLE_FUNCTIONS)}]))
      and has_function_privilege('public', p.oid, 'execute')
  loop
    execute format('revoke execute on routine %s from public', f);
  end loop;
  select string_agg(quote_ident(attname), ', ') into shown from pg_catalog.pg_attribute
    where attrelid = 'pg_catalog.pg_class'::regclass and not attisdropped and attname <> all (array[${list(CLOSED_CLASS_COLUMNS)}]);
  revoke select on pg_catalog.pg_class from public;
  execute format('grant select (%s) on pg_catalog.pg_class to public', shown);
end $harden$;
grant select on pg_catalog.pg_class to ${roles.owner}, ${roles.system};
revoke update on pg_catalog.pg_settings from public;
revoke all on pg_catalog.pg_largeobject_metadata from public;
revoke usage on language plpgsql from public;
grant usage on language plpgsql to ${roles.owner};
grant execute on function pg_catalog.set_config(text, text, boolean), pg_catalog.pg_notify(text, text),
  pg_catalog.pg_advisory_lock(bigint), pg_catalog.pg_advisory_lock_shared(bigint), pg_catalog.pg_advisory_xact_lock_shared(bigint),
  pg_catalog.pg_try_advisory_xact_lock(bigint), pg_catalog.pg_sequence_last_value(regclass)
  to ${roles.owner};
`;
}

function list(names: readonly string[]): string {
  return names.map((name) => `'${name}'`).join(", ");
}

/** SQL that makes the roles, or brings them back to what they must be. Each role's password comes as a SCRAM verifier. */
export function rolesSql(roles: Roles, database: string, verifiers: { readonly app: string; readonly system: string }): string {
  const name = `"${database.replaceAll('"', '""')}"`;
  return `
do $roles$
declare r text;
begin
  foreach r in array array['${roles.owner}', '${roles.app}', '${roles.system}', '${roles.tenants}'] loop
    if not exists (select from pg_catalog.pg_roles where rolname = r) then execute format('create role %I', r); end if;
  end loop;
end $roles$;
alter role ${roles.owner} nologin noinherit;
alter role ${roles.tenants} nologin noinherit;
alter role ${roles.app} login noinherit password '${verifiers.app}';
alter role ${roles.system} login noinherit password '${verifiers.system}';
grant ${roles.owner} to current_user;
grant connect on database ${name} to ${roles.app}, ${roles.system}, ${roles.tenants};
grant connect, create on database ${name} to ${roles.owner};
-- a temporary table would stay on the connection, for the next tenant to read
revoke temporary, connect on database ${name} from public;
do $public$ begin
  if to_regnamespace('public') is not null then revoke create, usage on schema public from public; end if;
end $public$;
`;
}
