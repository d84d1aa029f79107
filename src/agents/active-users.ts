import { Fault } from "../kernel/index.ts";
import { sql } from "../stores/data/index.ts";
import type { TenantScope } from "../stores/index.ts";

/** Who wrote within so long counts as active. */
const ACTIVE_DAYS = 30;
/** Who wrote within so long counts as there at the same time. */
const CONCURRENT_MINUTES = 5;
/** Within so long nothing is counted anew for a user. */
const NOTED_SECONDS = 60;
const CONCURRENT_RETRY_MS = 60_000;

/**
 * Lets a user write, who counts from now on. Exact over all processes: of two who come at once for the last place one gets it. Throws
 * `insufficient_quota` over `maxActiveUsers` and `concurrency_exceeded` over `maxConcurrentUsers`; without either nothing is asked or kept.
 */
export async function admitUser({ context: { tenant }, platform }: TenantScope, userId: string): Promise<void> {
  const { maxActiveUsers, maxConcurrentUsers } = tenant.quotas;
  if (maxActiveUsers === undefined && maxConcurrentUsers === undefined) return;
  const { count: noted } = await platform.query(sql`
    select from freehold.active_users where tenant_id = ${tenant.uuid} and user_id = ${userId}
      and last_at > now() - ${NOTED_SECONDS}::integer * interval '1 second'`);
  if (noted > 0) return;
  await platform.transaction(async (tx) => {
    // whoever counts holds this row, so that one counts after the other
    await tx.query(sql`
      insert into freehold.counters as c (tenant_id, name, value) values (${tenant.uuid}, 'activeUsers', 0)
      on conflict (tenant_id, name) do update set value = c.value`);
    await tx.query(sql`
      delete from freehold.active_users
      where tenant_id = ${tenant.uuid} and last_at < now() - ${ACTIVE_DAYS}::integer * interval '1 day'`);
    const { rows } = await tx.query<{ active: number; concurrent: number }>(sql`
      select count(*)::int as active,
        (count(*) filter (where last_at > now() - ${CONCURRENT_MINUTES}::integer * interval '1 minute'))::int as concurrent
      from freehold.active_users where tenant_id = ${tenant.uuid} and user_id <> ${userId}`);
    const { active = 0, concurrent = 0 } = rows[0] ?? {};
    if (maxActiveUsers !== undefined && active >= maxActiveUsers) throw tooManyActive(maxActiveUsers);
    if (maxConcurrentUsers !== undefined && concurrent >= maxConcurrentUsers) throw tooManyAtOnce(maxConcurrentUsers);
    await tx.query(sql`
      insert into freehold.active_users (tenant_id, user_id) values (${tenant.uuid}, ${userId})
      on conflict (tenant_id, user_id) do update set last_at = now()`);
  });
}

function tooManyActive(max: number): Fault {
  const detail = `${max} people have written within ${ACTIVE_DAYS} days, which is as many as the tenant may have.`;
  return new Fault("insufficient_quota", detail, { public: { policy: "active-users", detail, headers: { "x-should-retry": "false" } } });
}

function tooManyAtOnce(max: number): Fault {
  const detail = `${max} people are writing, which is as many as may at the same time.`;
  return new Fault("concurrency_exceeded", detail, { public: { policy: "concurrent-users", detail, retryAfterMs: CONCURRENT_RETRY_MS } });
}
