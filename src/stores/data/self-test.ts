import { randomUUID } from "node:crypto";
import { Fault } from "../../kernel/index.ts";
import type { Queryable } from "./port.ts";
import { sql } from "./sql.ts";

/** The handles the test needs: two made-up tenants, and the application's role without any tenant. */
export interface SelfTestSubjects {
  tenant(uuid: string): Queryable;
  readonly nobody: Queryable;
}

/**
 * Proves before serving that the engine keeps two tenants apart, by writing as both and reading across; throws `isolation_violation`
 * with what was seen otherwise. Also checks that every table with a tenant column has row security on and forced, and that the role
 * in use neither owns a table, nor is superuser, nor bypasses row security, nor can set the tenant itself.
 */
export async function proveIsolation({ tenant, nobody }: SelfTestSubjects, signed: boolean): Promise<void> {
  const [a, b] = [randomUUID(), randomUUID()];
  const id = randomUUID();
  const asA = tenant(a);
  const asB = tenant(b);
  await assertCatalog(asA, signed);
  try {
    await asA.query(sql`insert into freehold.isolation_probe (tenant_id, id) values (${a}, ${id})`);
    await asB.query(sql`insert into freehold.isolation_probe (tenant_id, id) values (${b}, ${id})`);
    await expectRows(asA, a, "one tenant's rows");
    await expectRows(asB, b, "another tenant's rows");
    await expectRows(nobody, undefined, "rows without a tenant");
    await expectRefused(asA, b);
    const moved = await asA.query(sql`update freehold.isolation_probe set id = ${randomUUID()} where tenant_id = ${b}`);
    if (moved.count !== 0) throw violation("a tenant could change another tenant's row");
  } finally {
    await asA.query(sql`delete from freehold.isolation_probe where tenant_id = ${a}`);
    await asB.query(sql`delete from freehold.isolation_probe where tenant_id = ${b}`);
  }
}

async function expectRows(as: Queryable, uuid: string | undefined, what: string): Promise<void> {
  const { rows } = await as.query<{ tenant_id: string }>(sql`select tenant_id from freehold.isolation_probe`);
  const expected = uuid === undefined ? 0 : 1;
  if (rows.length !== expected || rows.some((row) => row.tenant_id !== uuid)) {
    throw violation(`reading ${what} gave ${rows.length} rows, ${rows.filter((row) => row.tenant_id !== uuid).length} of them foreign`);
  }
}

async function expectRefused(asA: Queryable, b: string): Promise<void> {
  try {
    await asA.query(sql`insert into freehold.isolation_probe (tenant_id, id) values (${b}, ${randomUUID()})`);
  } catch (error) {
    if (error instanceof Fault && error.code === "forbidden") return;
    throw error;
  }
  throw violation("a tenant could write a row of another tenant");
}

async function assertCatalog(as: Queryable, signed: boolean): Promise<void> {
  const role = await as.query<{ role: string; bad: boolean; sets: boolean }>(sql`
    select current_user::text as role, r.rolsuper or r.rolbypassrls or r.rolcreaterole or r.rolcreatedb as bad,
      has_function_privilege(current_user, 'pg_catalog.set_config(text, text, boolean)', 'execute') as sets
    from pg_catalog.pg_roles r where r.rolname = current_user`);
  const found = role.rows[0];
  if (!found || found.bad) throw violation(`the role ${found?.role ?? "in use"} has more rights than a tenant's role may have`);
  if (found.sets && !signed) throw violation(`the role ${found.role} can set the tenant by itself`);
  const tables = await as.query<{ name: string }>(sql`
    select c.oid::regclass::text as name from pg_catalog.pg_class c
    join pg_catalog.pg_namespace n on n.oid = c.relnamespace
    where n.nspname = 'freehold' and c.relkind in ('r', 'p')
      and (has_table_privilege(current_user, c.oid, 'select') or has_table_privilege(current_user, c.oid, 'insert'))
      and exists (select from pg_catalog.pg_attribute t where t.attrelid = c.oid and t.attname = 'tenant_id' and not t.attisdropped)
      and (not c.relrowsecurity or not c.relforcerowsecurity or pg_catalog.pg_get_userbyid(c.relowner) = current_user)`);
  if (tables.rows.length > 0) throw violation(`row security is not forced on ${tables.rows.map((row) => row.name).join(", ")}`);
}

function violation(what: string): Fault {
  return new Fault("isolation_violation", `isolation self-test: ${what}`, {
    public: { detail: `Freehold does not start: ${what}. Restore the schema's row security, or start with the URL of an administrator.` },
  });
}
