import { Fault, type TenantContext } from "../kernel/index.ts";
import { type Queryable, sql, type TenantData } from "../stores/data/index.ts";

/** What is counted per tenant, exactly and under races: the counter's row is locked by each change until its transaction ends. */
export type CounterName = "users" | "storageBytes";

/**
 * Adds to the counter inside the caller's transaction. Throws `insufficient_quota` when it would pass `max`; then nothing of the
 * transaction happens. Taking away always works.
 */
export async function addToCounter(tx: Queryable, { tenant }: TenantContext, name: CounterName, delta: number, max: number): Promise<void> {
  if (delta === 0) return;
  const { count } = await tx.query(sql`
    insert into freehold.counters as c (tenant_id, name, value)
    select ${tenant.uuid}, ${name}, greatest(${delta}::bigint, 0) where ${delta}::bigint <= ${max}::bigint
    on conflict (tenant_id, name) do update set value = greatest(c.value + ${delta}::bigint, 0)
      where ${delta}::bigint <= 0 or c.value + ${delta}::bigint <= ${max}::bigint`);
  if (count > 0) return;
  throw new Fault("insufficient_quota", `${tenant.id}: ${name} over ${max}`, {
    public: {
      policy: name,
      detail: `The tenant's quota for ${name} is ${max}. Remove something or ask for a larger plan.`,
      headers: { "x-should-retry": "false" },
    },
  });
}

/** Sets every counter of the tenant to what is really there. */
export async function recount(data: TenantData, { tenant }: TenantContext): Promise<void> {
  await data.query(sql`
    insert into freehold.counters as c (tenant_id, name, value)
    select ${tenant.uuid}::uuid, 'users', count(*) from users where tenant_id = ${tenant.uuid}
    union all
    select ${tenant.uuid}::uuid, 'storageBytes', coalesce(sum(octet_length(body)), 0) from documents where tenant_id = ${tenant.uuid}
    on conflict (tenant_id, name) do update set value = excluded.value`);
}
