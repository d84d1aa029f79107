import { sql, type SystemData } from "../../stores/data/index.ts";

const DAY_MS = 86_400_000;
const BATCH = 5_000;

/** The beginning of the day of UTC before which lines are not kept any more that are kept for so many days. */
export function keptSince(nowMs: number, days: number): Date {
  return new Date((Math.floor(nowMs / DAY_MS) - days) * DAY_MS);
}

/**
 * Adds a tenant's lines before a time up by day, model and principal, and deletes them, in batches: each line is in the sums or in the ledger at every
 * moment, and never in both, also when several processes do this at once. Gives how many lines went.
 */
export async function foldLines(system: SystemData, tenant: string, before: Date, signal: AbortSignal): Promise<number> {
  let [lines, last] = [0, BATCH];
  while (last === BATCH && !signal.aborted) {
    const { rows } = await system.query<{ count: number }>(sql`
      with gone as (
        delete from freehold.model_ledger where tenant_id = ${tenant} and (request_id, attempt) in (
          select request_id, attempt from freehold.model_ledger where tenant_id = ${tenant} and at < ${before}
          order by at, request_id, attempt limit ${BATCH})
        returning at, target, principal, input, cached_input, cache_write, output, cost, source
      ), folded as (
        insert into freehold.model_ledger_days as d (tenant_id, day, target, principal, attempts, input, cached_input, cache_write, output, cost, counted)
        select ${tenant}::uuid, date_trunc('day', at, 'UTC'), target, principal, count(*), sum(input), sum(cached_input), sum(cache_write), sum(output),
          coalesce(sum(cost), 0), count(*) filter (where source = 'counted')
        from gone group by 2, 3, 4 order by 2, 3, 4
        on conflict (tenant_id, day, target, principal) do update set attempts = d.attempts + excluded.attempts, input = d.input + excluded.input,
          cached_input = d.cached_input + excluded.cached_input, cache_write = d.cache_write + excluded.cache_write,
          output = d.output + excluded.output, cost = d.cost + excluded.cost, counted = d.counted + excluded.counted
      )
      select count(*)::int as count from gone`);
    last = rows[0]?.count ?? 0;
    lines += last;
  }
  return lines;
}
