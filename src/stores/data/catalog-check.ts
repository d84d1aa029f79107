import { OPEN_VOLATILE_FUNCTIONS } from "./hardening.ts";
import type { Queryable } from "./port.ts";
import { sql } from "./sql.ts";

/** Relations without tenant rows that the application's role may read. */
const SHARED_RELATIONS = ["freehold.migrations"];
/** Functions that run as their owner and that the application's role may call: they give or check the tenant in force. */
const DEFINER_FUNCTIONS = ["enter", "tenant"];
/** How the functions begin that search an application's table with its index: they name no tenant but the one in force. */
const SEARCH_SOURCE = " select s.* from freehold\\_app.% s where s.tenant\\_id = freehold.tenant() and s.%";
/** The one policy a tenant's table has for the application's role. The second form is what a search path shows. */
const POLICIES = ["(tenant_id = freehold.tenant())", "(tenant_id = tenant())"];

/** What in the catalog contradicts isolation, seen from the application's role; nothing when all is well. */
export async function findCatalogProblems(as: Queryable, mode: "guarded" | "signed"): Promise<readonly string[]> {
  const found = await Promise.all([roleProblems(as), relationProblems(as), functionProblems(as, mode)]);
  return found.flat();
}

async function problems(as: Queryable, statement: Parameters<Queryable["query"]>[0]): Promise<string[]> {
  const { rows } = await as.query<{ problem: string }>(statement);
  return rows.map((row) => row.problem);
}

/** The role has no rights beyond those of its tables, owns nothing, is in no other role and keeps no settings. */
async function roleProblems(as: Queryable): Promise<string[]> {
  return await problems(
    as,
    sql`
    with me as (select r.* from pg_catalog.pg_roles r where r.rolname = current_user)
    select 'the role ' || rolname || ' has more rights than a tenant''s role may have' as problem from me
      where rolsuper or rolbypassrls or rolcreaterole or rolcreatedb or rolreplication
    union all select 'the role ' || rolname || ' is a member of another role' from me
      where exists (select from pg_catalog.pg_auth_members m where m.member = me.oid)
    union all select 'the role ' || rolname || ' owns something' from me
      where exists (select from pg_catalog.pg_shdepend d
        where d.refclassid = 'pg_catalog.pg_authid'::regclass and d.refobjid = me.oid and d.deptype = 'o')
    union all select 'the role ' || rolname || ' brings the setting ' || split_part(given, '=', 1) from me
      join pg_catalog.pg_db_role_setting s on s.setrole = me.oid, unnest(s.setconfig) given
      where given ~ '^(app\\.|role=|row_security=|search_path=)'
    union all select 'the role ' || rolname || ' can make temporary tables' from me
      where has_database_privilege(current_database(), 'temporary')
    union all select 'the role ' || me.rolname || ' can make things in the schema ' || n.nspname from me, pg_catalog.pg_namespace n
      where has_schema_privilege(n.oid, 'create')`,
  );
}

/** Whatever the role can reach holds tenants' rows under row security, with the tenant's policy and no other. */
async function relationProblems(as: Queryable): Promise<string[]> {
  return await problems(
    as,
    sql`
    with reached as (
      select c.oid, c.relkind, n.nspname || '.' || c.relname as name,
        (n.nspname in ('freehold', 'freehold_app') or n.nspname ~ '^s_[0-9a-f]{20}$') and c.relkind in ('r', 'p') and c.relrowsecurity and c.relforcerowsecurity
          and exists (select from pg_catalog.pg_attribute t where t.attrelid = c.oid and t.attname = 'tenant_id' and t.attnotnull) as forced
      from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
      where n.nspname not in ('pg_catalog', 'information_schema', 'pg_toast') and c.relkind in ('r', 'p', 'v', 'm', 'f', 'S')
        and has_schema_privilege(n.oid, 'usage')
        and case when c.relkind = 'S' then has_sequence_privilege(c.oid, 'usage, select, update')
          else has_any_column_privilege(c.oid, 'select, insert, update, references')
            or has_table_privilege(c.oid, 'delete, truncate, trigger') end
        and n.nspname || '.' || c.relname <> all (${SHARED_RELATIONS}::text[])
    ), policies as (
      select p.polrelid, p.polpermissive and p.polcmd = '*'
        and pg_get_expr(p.polqual, p.polrelid) = any (${POLICIES}::text[])
        and coalesce(pg_get_expr(p.polwithcheck, p.polrelid), pg_get_expr(p.polqual, p.polrelid)) = any (${POLICIES}::text[]) as exact
      from pg_catalog.pg_policy p
      where p.polroles @> array[0::oid] or p.polroles @> array[(select oid from pg_catalog.pg_roles where rolname = current_user)]
    )
    select 'row security is not forced on ' || name as problem from reached where not forced
    union all select 'the policy of ' || name || ' is not the one that keeps tenants apart' from reached
      where forced and (select count(*) <> 1 or not bool_and(exact) from policies where polrelid = reached.oid)
    union all select 'more than rows can be touched in ' || name from reached
      where relkind <> 'S' and (has_table_privilege(reached.oid, 'truncate, trigger')
        or has_any_column_privilege(reached.oid, 'references'))`,
  );
}

/** Nothing that acts outside the statement can be called from inside one. */
async function functionProblems(as: Queryable, mode: "guarded" | "signed"): Promise<string[]> {
  return await problems(
    as,
    sql`
    select 'the role in use can call ' || n.nspname || '.' || p.proname as problem
    from pg_catalog.pg_proc p join pg_catalog.pg_namespace n on n.oid = p.pronamespace
    where has_schema_privilege(n.oid, 'usage') and has_function_privilege(p.oid, 'execute')
      and p.prorettype not in ('trigger'::regtype, 'event_trigger'::regtype)
      and not (n.nspname = 'freehold' and p.proname = any (${DEFINER_FUNCTIONS}::text[]))
      and not (n.nspname = 'freehold_app' and p.proname like 'search\_%' and p.provolatile = 's' and p.prosrc like ${SEARCH_SOURCE})
      and (p.prosecdef or (${mode}::text = 'guarded' and p.provolatile = 'v'
        and not (n.nspname = 'pg_catalog' and p.proname = any (${OPEN_VOLATILE_FUNCTIONS}::text[]))))`,
  );
}
