import { type DataStore, sql } from "../data/index.ts";

/** How far behind the handling of events is, over all tenants. */
export interface EventLag {
  /** Events in the outbox and deliveries that are not settled. */
  readonly pending: number;
  /** Age of the oldest of them in milliseconds, by the database's clock; 0 when there is none. */
  readonly oldestMs: number;
  readonly deadLetters: number;
}

/** Counts what is pending and what is dead. It reads all of it, so it is for a scrape and not for a request. */
export async function measureLag(data: DataStore): Promise<EventLag> {
  const { rows } = await data.system.query<EventLag>(sql`
    with pending as (
      select created_at from freehold.outbox union all select created_at from freehold.deliveries
    )
    select count(*) as pending, coalesce(greatest(0, extract(epoch from now() - min(created_at)) * 1000), 0)::bigint as "oldestMs",
      (select count(*) from freehold.dead_letters) as "deadLetters"
    from pending`);
  return rows[0] ?? { pending: 0, oldestMs: 0, deadLetters: 0 };
}
