import type { Roles } from "./roles.ts";

/**
 * SQL that lets the functions of a tenant's life into every table under row security that the owner has, to the rows of the tenant whose
 * life it is. Run at each start, so that no migration can forget it, and where tables are made meanwhile. The application's role gets nothing by it.
 */
export function lifecyclePoliciesSql({ owner }: Roles): string {
  return `
do $lifecycle$
declare
  t regclass;
begin
  for t in
    select c.oid::regclass from pg_catalog.pg_class c join pg_catalog.pg_attribute a on a.attrelid = c.oid and not a.attisdropped
    where c.relkind in ('r', 'p') and c.relrowsecurity and c.relowner = '${owner}'::regrole
      and a.attname = 'tenant_id' and a.atttypid = 'uuid'::regtype
      and not exists (select from pg_catalog.pg_policy p where p.polrelid = c.oid and p.polname = 'lifecycle')
  loop
    execute format('create policy lifecycle on %s for all to ${owner}
      using (tenant_id = freehold.lifecycle_tenant()) with check (tenant_id = freehold.lifecycle_tenant())', t);
  end loop;
end $lifecycle$;`;
}
