import { sql, type SystemData } from "../../stores/data/index.ts";

const BATCH = 5_000;
/** Rows are kept so long after they could matter: longer than any answer takes, and than clocks of gateways are apart. */
const KEPT_MS = 86_400_000;
/** A gateway that has written nothing for so long is gone, or begins anew without harm. */
const GATEWAY_KEPT_MS = 7 * 86_400_000;

/**
 * Deletes what a tenant has used of budgets in periods that are over, in batches; several processes may do this at once. What period a row is of shows in when it
 * began: one that began within an hour is over a minute later, and one of the first of a month possibly not before the next. Gives how many rows went.
 */
export async function forgetUse(system: SystemData, tenant: string, nowMs: number, signal: AbortSignal): Promise<number> {
  const before = new Date(nowMs - KEPT_MS);
  let [rows, last] = [0, BATCH];
  while (last === BATCH && !signal.aborted) {
    // a row that is being settled is left to the next round
    const { count } = await system.query(sql`
      with old as (
        select budget, subject, period from freehold.model_use u
        where tenant_id = ${tenant} and period < ${before} and ${before} >= case
            when period <> date_trunc('hour', period, 'UTC') then period + interval '1 minute'
            when period <> date_trunc('day', period, 'UTC') then period + interval '1 hour'
            when period <> date_trunc('month', period, 'UTC') then period + interval '24 hours'
            else (period at time zone 'UTC' + interval '1 month') at time zone 'UTC' end
          and not exists (select from freehold.model_leases l where l.tenant_id = u.tenant_id and l.budget = u.budget
            and l.subject = u.subject and l.period = u.period and l.expires_at >= ${before})
        limit ${BATCH} for update skip locked
      )
      delete from freehold.model_use u using old
      where u.tenant_id = ${tenant} and u.budget = old.budget and u.subject = old.subject and u.period = old.period`);
    last = count;
    rows += last;
  }
  return rows;
}

/** Forgets which batches were written by gateways that are gone. */
export async function forgetGateways(system: SystemData, nowMs: number): Promise<void> {
  await system.query(sql`delete from freehold.model_gateways where seen_at < ${new Date(nowMs - GATEWAY_KEPT_MS)}`);
}
