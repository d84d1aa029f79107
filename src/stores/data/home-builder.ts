import type pg from "pg";
import type { Random } from "../../kernel/index.ts";
import type { Installation } from "./bootstrap.ts";
import { TENANT_CONSTRAINT } from "./data-fault.ts";
import type { HomeNames } from "./home.ts";
import { lifecyclePoliciesSql } from "./lifecycle-policies.ts";
import { ROWS_RIGHTS, tenantTable } from "./migrations/migration.ts";
import { platformTables, pointsTable } from "./migrations/platform-tables.ts";
import type { Roles } from "./roles.ts";
import { scramVerifier } from "./scram.ts";
import type { TableTarget } from "./tables/table-sql.ts";

/** Where applications' tables are in shared rows, and in a database of one tenant, which has the same shape. */
export const SHARED_TABLES_SCHEMA = "freehold_app";

/**
 * How an application's tables are made in shared rows. The owner, whom nobody can log in as, fills new columns and searches. From their first
 * row on the tables take part in the life of tenants.
 */
export function sharedTarget(roles: Roles): TableTarget {
  return {
    schema: SHARED_TABLES_SCHEMA,
    shared: true,
    guard: (table) => `${tenantTable(table, roles, { app: ROWS_RIGHTS }, SHARED_TABLES_SCHEMA)}
create policy owner on ${SHARED_TABLES_SCHEMA}.${table} for all to ${roles.owner} using (true) with check (true);`,
    made: lifecyclePoliciesSql(roles),
  };
}

/** How it is made in a schema of one tenant: no policy is in the way of an index, a constraint holds every row to the tenant. */
export function schemaTarget({ schema, login }: Pick<HomeNames, "schema" | "login">, tenant: string): TableTarget {
  return {
    schema,
    shared: false,
    guard: (table) => `
alter table ${schema}.${table} add constraint ${TENANT_CONSTRAINT} check (tenant_id = '${tenant}');
grant ${ROWS_RIGHTS} on ${schema}.${table} to ${login};`,
    made: "",
  };
}

/** Makes the tenant's schema with the platform's tables in it, its owner and its login. Safe to run again after a kill. */
export async function createSchema(
  client: pg.ClientBase,
  { roles, vector }: Installation,
  { schema, owner, login }: HomeNames,
  secrets: { readonly tenant: string; readonly password: string; readonly random: Random },
): Promise<void> {
  const { tenant, password, random } = secrets;
  const tables = platformTables({ schema, vector, guard: schemaTarget({ schema, login }, tenant).guard });
  await client.query(`
begin;
do $roles$
begin
  if to_regrole('${owner}') is null then create role ${owner}; end if;
  if to_regrole('${login}') is null then create role ${login}; end if;
end $roles$;
alter role ${owner} nologin noinherit;
alter role ${login} login inherit password '${scramVerifier(password, random)}';
grant ${roles.tenants} to ${login};
grant ${owner} to current_user;
grant usage on schema freehold to ${owner};
drop schema if exists ${schema} cascade;
create schema ${schema} authorization ${owner};
set local role ${owner};
set local search_path = ${schema}, freehold, pg_catalog, pg_temp;
revoke all on schema ${schema} from public;
grant usage on schema ${schema} to ${login};
create function ${schema}.tenant() returns uuid language sql immutable parallel safe as $$ select '${tenant}'::uuid $$;
${tables}
commit`);
}

/** Makes the table of what a tenant in shared rows searches, under the same row security as the shared one. Safe to run again after a kill. */
export async function createSearch(client: pg.ClientBase, { roles, vector }: Installation, schema: string, tenant: string): Promise<void> {
  const guard = (table: string): string => `${tenantTable(table, roles, { app: ROWS_RIGHTS }, schema)}
alter table ${schema}.${table} add constraint ${TENANT_CONSTRAINT} check (tenant_id = '${tenant}');`;
  await client.query(`
begin;
drop schema if exists ${schema} cascade;
create schema ${schema} authorization ${roles.owner};
set local role ${roles.owner};
set local search_path = ${schema}, freehold, pg_catalog, pg_temp;
revoke all on schema ${schema} from public;
grant usage on schema ${schema} to ${roles.app};
${pointsTable({ schema, vector, guard })}
${lifecyclePoliciesSql(roles)}
commit`);
}

/** Removes the tenant's schema, login and owner with everything in it. */
export async function dropSchema(client: pg.ClientBase, { schema, owner, login }: HomeNames): Promise<void> {
  await client.query(`
begin;
drop schema if exists ${schema} cascade;
do $roles$
declare r text;
begin
  foreach r in array array['${login}', '${owner}'] loop
    if to_regrole(r) is not null then
      execute format('drop owned by %I', r);
      execute format('drop role %I', r);
    end if;
  end loop;
end $roles$;
commit`);
}

/** Removes the tenant's database and the roles that were made for it. Connections to it are ended. */
export async function dropDatabase(client: pg.ClientBase, database: string, roles: Roles): Promise<void> {
  await client.query(`drop database if exists ${database} with (force)`);
  for (const role of [roles.app, roles.system, roles.tenants, roles.owner]) await client.query(`drop role if exists ${role}`);
}
