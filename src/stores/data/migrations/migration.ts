import type { Roles } from "../roles.ts";

/** What a migration may depend on besides the version before it. */
export interface MigrationTarget {
  readonly roles: Roles;
  /** Whether the `vector` type exists in the database. */
  readonly vector: boolean;
}

/** One step of the schema. Applied once, in order, in a transaction of its own; never changed after it was released. */
export interface Migration {
  readonly version: number;
  readonly name: string;
  sql(target: MigrationTarget): string;
}

/** What a tenant may do with rows of its own. */
export const ROWS_RIGHTS = "select, insert, update, delete";

/**
 * The SQL that puts a table under its tenant: row security on and forced for the owner too, one policy for the application role that
 * admits exactly the rows of the tenant in force, and only the named privileges (never TRUNCATE, REFERENCES or TRIGGER).
 * With `system`, the platform's role gets a policy and privileges of its own.
 */
export function tenantTable(
  name: string,
  roles: Roles,
  grants: { readonly app: string; readonly system?: string },
  schema = "freehold",
): string {
  const table = `${schema}.${name}`;
  const system = grants.system
    ? `create policy system on ${table} for all to ${roles.system} using (true) with check (true);
grant ${grants.system} on ${table} to ${roles.system};`
    : "";
  return `
alter table ${table} enable row level security;
alter table ${table} force row level security;
create policy tenant on ${table} for all to ${roles.app}
  using (tenant_id = freehold.tenant()) with check (tenant_id = freehold.tenant());
grant ${grants.app} on ${table} to ${roles.app};
${system}`;
}
