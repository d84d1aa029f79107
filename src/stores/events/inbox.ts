import { type DataStore, sql, type TenantTransaction } from "../data/index.ts";
import type { Delivery } from "./bus.ts";

/** How long it is remembered that an event was handled, at least. */
const INBOX_DAYS = 14;
const CLEAN_BATCH = 1000;

/**
 * Notes in the tenant's transaction that the delivery is handled. False when it was handled before, or somebody else has claimed it since:
 * then its effect must not happen. Two that try at once wait for each other, and one of them gets false.
 */
export async function enterInbox(tx: TenantTransaction, { tenantUuid, consumer, eventId, lease }: Delivery): Promise<boolean> {
  if (tx.model === "database") {
    // deliveries are handed out in the installation's database, so who holds the lease is not seen here: the first to note it has the effect
    const { count } = await tx.query(sql`
      insert into freehold.inbox (tenant_id, consumer, event_id) values (${tenantUuid}, ${consumer}, ${eventId}) on conflict do nothing`);
    return count === 1;
  }
  const { count } = await tx.query(sql`
    insert into freehold.inbox (tenant_id, consumer, event_id)
    select d.tenant_id, d.consumer, d.event_id from freehold.deliveries d
    where d.tenant_id = ${tenantUuid} and d.consumer = ${consumer} and d.event_id = ${eventId} and d.lease = ${lease}
    on conflict do nothing`);
  return count === 1;
}

/**
 * Forgets a batch of what was handled more than 14 days ago and cannot be delivered any more, and gives how many.
 * Less than a whole batch: there is nothing left to forget.
 */
export async function cleanInbox(data: DataStore): Promise<{ readonly forgotten: number; readonly more: boolean }> {
  const { count } = await data.system.query(sql`
    delete from freehold.inbox i using (
      select o.tenant_id, o.consumer, o.event_id from freehold.inbox o
      where o.handled_at < now() - ${INBOX_DAYS}::integer * interval '1 day'
        and not exists (select from freehold.deliveries d
          where d.tenant_id = o.tenant_id and d.consumer = o.consumer and d.event_id = o.event_id)
        and not exists (select from freehold.dead_letters l
          where l.tenant_id = o.tenant_id and l.consumer = o.consumer and l.event_id = o.event_id)
      order by o.handled_at limit ${CLEAN_BATCH}
    ) old
    where i.tenant_id = old.tenant_id and i.consumer = old.consumer and i.event_id = old.event_id`);
  return { forgotten: count, more: count === CLEAN_BATCH };
}
