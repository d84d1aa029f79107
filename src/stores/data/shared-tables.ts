import { PLATFORM_TABLES } from "./migrations/platform-tables.ts";
import type { Roles } from "./roles.ts";

/** Tables that no tenant with a login of its own has any business in. */
const NOT_SHARED = [...PLATFORM_TABLES, "isolation_probe"];

/**
 * SQL by which tenants with a login of their own have, in the platform's tables, the rights that the application's role has, on the rows of
 * whoever is logged in. It goes by the catalogue, so a table that a later migration makes is among them. Runs as the owner; safe to run again.
 */
export function sharedTablesSql({ app, tenants }: Roles): string {
  return `
do $shared$
declare
  t record;
  p record;
begin
  for t in
    select c.oid, format('freehold.%I', c.relname) as name from pg_catalog.pg_class c
    where c.relnamespace = 'freehold'::regnamespace and c.relkind in ('r', 'p') and c.relname <> all (array[${NOT_SHARED.map((name) => `'${name}'`).join(", ")}])
      and exists (select from pg_catalog.pg_policy o where o.polrelid = c.oid and o.polname = 'tenant')
  loop
    if not exists (select from pg_catalog.pg_policy o where o.polrelid = t.oid and o.polname = 'login') then
      execute format('create policy login on %s for all to ${tenants} using (tenant_id = (select freehold.login_tenant(current_user)))
        with check (tenant_id = freehold.login_tenant(current_user))', t.name);
    end if;
    for p in select unnest(array['select', 'insert', 'update', 'delete']) as privilege loop
      if has_table_privilege('${app}', t.oid, p.privilege) then
        execute format('grant %s on %s to ${tenants}', p.privilege, t.name);
      elsif p.privilege <> 'delete' and has_any_column_privilege('${app}', t.oid, p.privilege) then
        execute (select format('grant %s (%s) on %s to ${tenants}', p.privilege, string_agg(quote_ident(a.attname), ', '), t.name)
          from pg_catalog.pg_attribute a where a.attrelid = t.oid and a.attnum > 0 and not a.attisdropped
            and has_column_privilege('${app}', t.oid, a.attname, p.privilege));
      end if;
    end loop;
  end loop;
end $shared$;`;
}
