import { type DataStore, sql } from "../../data/index.ts";
import type { ClaimBounds, Delivery, DeliveryOutcome, EventBus, Subscription } from "../bus.ts";

/** Events moved in one transaction, in all and of one tenant. */
const RELAY_BATCH = 500;
const RELAY_PER_TENANT = 100;
/** Before every tenant's id, and after it. */
const FIRST = "00000000-0000-0000-0000-000000000000";
const LAST = "ffffffff-ffff-ffff-ffff-ffffffffffff";
const CHANNEL = "freehold_events";
/** What is noted of a delivery whose tenant is not served. */
const PARKED = "tenant_suspended";

type System = DataStore["system"];

/**
 * A bus of two tables beside the outbox. Several processes may use it at once, each with consumers of its own: their subscriptions are put
 * down in the database when the bus is first used, and an event is sent to whoever is subscribed at the moment it leaves the outbox,
 * whichever process moves it. A consumer keeps its subscriptions while none of its processes runs.
 */
export function createPostgresBus(data: DataStore, subscriptions: readonly Subscription[]): EventBus {
  const { system } = data;
  const consumers = new Set(subscriptions.map(({ name }) => name));
  if (consumers.size !== subscriptions.length) throw new RangeError("two consumers have the same name");
  let subscribing: Promise<void> | undefined;
  const subscribed = (): Promise<void> =>
    (subscribing ??= subscribe(system, subscriptions).catch((error: unknown) => {
      subscribing = undefined; // tried again with the next use
      throw error;
    }));
  const relayTurns = createTurns();
  const claimTurns = new Map(subscriptions.map(({ name }) => [name, createTurns()]));

  return {
    async relay() {
      await subscribed();
      const moved = await relayTurns.next(RELAY_BATCH, (span, limit) => moveBatch(system, span, limit));
      return moved.length;
    },
    async claim(consumer, bounds) {
      const turns = claimTurns.get(consumer);
      if (!turns) throw new RangeError(`not a consumer of this bus: ${consumer}`);
      return await turns.next(bounds.limit, (span, limit) => claimBatch(system, consumer, bounds, span, limit));
    },
    extend: (deliveries, leaseMs) => extend(system, deliveries, leaseMs),
    settle: async (delivery, outcome) => (await settle(system, delivery, outcome)) > 0,
    redrive: async (tenantUuid, consumer, eventId) => consumers.has(consumer) && (await redrive(system, tenantUuid, consumer, eventId)) > 0,
    unpark: async (tenantUuid) => {
      await system.query(sql`
        update freehold.deliveries set due_at = now()
        where tenant_id = ${tenantUuid} and due_at is not null and lease is null and last_error = ${PARKED}`);
    },
    wake: (onWake) => system.listen(CHANNEL, onWake, onWake),
  };
}

/** Ends the subscriptions of a consumer that is no more, and drops what waits for it. Its dead letters stay. */
export async function endSubscriptions({ system }: DataStore, consumer: string): Promise<void> {
  await system.query(sql`
    with ended as (delete from freehold.subscriptions where consumer = ${consumer})
    delete from freehold.deliveries where consumer = ${consumer}`);
}

/** Tenants whose id is above `after` and not above `until`. */
interface Span {
  readonly after: string;
  readonly until: string;
}

/** Takes tenants in turn: each batch begins after the tenant with which the last one ended, and goes round once. */
interface Turns {
  next<T extends { readonly tenantUuid: string }>(
    limit: number,
    batch: (span: Span, limit: number) => Promise<readonly T[]>,
  ): Promise<readonly T[]>;
}

function createTurns(): Turns {
  let last = FIRST;
  return {
    async next(limit, batch) {
      const from = last;
      const taken = [...(await batch({ after: from, until: LAST }, limit))];
      if (taken.length < limit && from !== FIRST) taken.push(...(await batch({ after: FIRST, until: from }, limit - taken.length)));
      last = taken.at(-1)?.tenantUuid ?? FIRST;
      return taken;
    },
  };
}

/** Puts down exactly the given topics for these consumers, and leaves those of others as they are. */
async function subscribe(system: System, subscriptions: readonly Subscription[]): Promise<void> {
  const routes = subscriptions.flatMap(({ name, topics }) => [...new Set(topics)].map((topic) => ({ name, topic })));
  const [names, topics] = [routes.map(({ name }) => name), routes.map(({ topic }) => topic)];
  await system.query(sql`
    with wanted as (select * from unnest(${names}::text[], ${topics}::text[]) w (consumer, topic)),
    ended as (
      delete from freehold.subscriptions s where s.consumer = any (${subscriptions.map(({ name }) => name)}::text[])
        and not exists (select from wanted w where w.consumer = s.consumer and w.topic = s.topic)
    )
    insert into freehold.subscriptions (consumer, topic) select w.consumer, w.topic from wanted w on conflict do nothing`);
}

/**
 * One batch, in one statement: gone from the outbox and there for every consumer, or neither.
 * Two relays wait for each other at the first row that both want, in one order for all (tenant, seq): so neither can overtake the other
 * with a younger event of the same key, and neither holds what the other waits for.
 */
async function moveBatch(system: System, { after, until }: Span, limit: number): Promise<readonly { tenantUuid: string }[]> {
  const { rows } = await system.query<{ tenantUuid: string }>(sql`
    with recursive tenants (tenant_id) as (
      (select o.tenant_id from freehold.outbox o where o.tenant_id > ${after} and o.tenant_id <= ${until} order by o.tenant_id limit 1)
      union all
      select (select o.tenant_id from freehold.outbox o where o.tenant_id > t.tenant_id and o.tenant_id <= ${until} order by o.tenant_id limit 1)
      from tenants t where t.tenant_id < ${until}
    ),
    picked as materialized (
      select o.tenant_id, o.seq from tenants t cross join lateral (
        select o.tenant_id, o.seq from freehold.outbox o where o.tenant_id = t.tenant_id order by o.seq limit ${RELAY_PER_TENANT} for update
      ) o limit ${limit}
    ),
    moved as (
      delete from freehold.outbox o using picked p where o.tenant_id = p.tenant_id and o.seq = p.seq
      returning o.tenant_id, o.id, o.seq, o.topic, o.partition_key, o.envelope, o.created_at
    ),
    sent as (
      insert into freehold.deliveries (tenant_id, consumer, event_id, seq, partition_key, envelope, created_at)
      select m.tenant_id, r.consumer, m.id, m.seq, m.partition_key, m.envelope, m.created_at
      from moved m join freehold.subscriptions r on r.topic = m.topic
      order by m.tenant_id, m.seq
      on conflict do nothing
    )
    select m.tenant_id as "tenantUuid" from moved m order by m.tenant_id`);
  return rows;
}

/**
 * Tenants are found by stepping from one to the next through the index, and of each only its first few due deliveries are read: what it
 * costs depends on the number of tenants, not on how much any of them has queued. Whether a delivery is the oldest of its key is asked of
 * each one by itself: as a join the engine, where it has no statistics, reads the whole queue for each (measured: 30 s for 20,000 rows).
 */
async function claimBatch(system: System, consumer: string, bounds: ClaimBounds, span: Span, limit: number): Promise<readonly Delivery[]> {
  const { after, until } = span;
  const { perTenantMax, underWay, leaseMs } = bounds;
  const { rows } = await system.query<Delivery>(sql`
    with recursive tenants (tenant_id) as (
      (select d.tenant_id from freehold.deliveries d
        where d.consumer = ${consumer} and d.due_at is not null and d.tenant_id > ${after} and d.tenant_id <= ${until}
        order by d.tenant_id limit 1)
      union all
      select (select d.tenant_id from freehold.deliveries d
        where d.consumer = ${consumer} and d.due_at is not null and d.tenant_id > t.tenant_id and d.tenant_id <= ${until}
        order by d.tenant_id limit 1)
      from tenants t where t.tenant_id < ${until}
    ),
    room as (
      select t.tenant_id, greatest(0, ${perTenantMax}::integer - coalesce((
        select u.deliveries from unnest(${[...underWay.keys()]}::uuid[], ${[...underWay.values()]}::integer[]) u (tenant_id, deliveries)
        where u.tenant_id = t.tenant_id), 0)) as free
      from tenants t where t.tenant_id is not null
    ),
    due as materialized (
      select d.tenant_id, d.event_id from room t cross join lateral (
        select d.tenant_id, d.event_id from freehold.deliveries d
        where d.consumer = ${consumer} and d.tenant_id = t.tenant_id and d.due_at <= now() and d.event_id = (
          select head.event_id from freehold.deliveries head
          where head.tenant_id = d.tenant_id and head.consumer = d.consumer and head.partition_key = d.partition_key
          order by head.seq limit 1)
        order by d.due_at limit t.free
        for no key update of d skip locked
      ) d limit ${limit}
    ),
    claimed as (
      update freehold.deliveries d
      set attempts = d.attempts + 1, lease = gen_random_uuid(), due_at = now() + ${leaseMs}::integer * interval '1 millisecond',
        last_error = case when d.lease is null then d.last_error else 'lease_expired' end
      from due where d.tenant_id = due.tenant_id and d.consumer = ${consumer} and d.event_id = due.event_id
      returning d.*
    )
    select c.tenant_id as "tenantUuid", c.consumer, c.event_id as "eventId", c.partition_key as key, c.envelope, c.attempts, c.lease,
      c.last_error as "lastError"
    from claimed c order by c.tenant_id, c.seq`);
  return rows;
}

async function extend(system: System, deliveries: readonly Delivery[], leaseMs: number): Promise<void> {
  await system.query(sql`
    update freehold.deliveries d set due_at = now() + ${leaseMs}::integer * interval '1 millisecond'
    from unnest(${deliveries.map(({ tenantUuid }) => tenantUuid)}::uuid[], ${deliveries.map(({ consumer }) => consumer)}::text[],
      ${deliveries.map(({ eventId }) => eventId)}::uuid[], ${deliveries.map(({ lease }) => lease)}::uuid[]) held (tenant_id, consumer, event_id, lease)
    where d.tenant_id = held.tenant_id and d.consumer = held.consumer and d.event_id = held.event_id and d.lease = held.lease`);
}

async function settle(system: System, delivery: Delivery, outcome: DeliveryOutcome): Promise<number> {
  const { tenantUuid, consumer, eventId, lease } = delivery;
  switch (outcome.kind) {
    case "done": {
      const { count } = await system.query(sql`
        delete from freehold.deliveries
        where tenant_id = ${tenantUuid} and consumer = ${consumer} and event_id = ${eventId} and lease = ${lease}`);
      return count;
    }
    case "retry":
    case "park": {
      const [reason, uncounted] = outcome.kind === "retry" ? [outcome.error, 0] : [outcome.reason, 1];
      const { count } = await system.query(sql`
        update freehold.deliveries
        set attempts = attempts - ${uncounted}::integer, lease = null, last_error = ${reason},
          due_at = now() + ${Math.ceil(outcome.delayMs)}::integer * interval '1 millisecond'
        where tenant_id = ${tenantUuid} and consumer = ${consumer} and event_id = ${eventId} and lease = ${lease}`);
      return count;
    }
    case "dead":
      return await bury(system, delivery, outcome.reason);
  }
}

async function bury(system: System, { tenantUuid, consumer, eventId, lease }: Delivery, reason: string): Promise<number> {
  const { count } = await system.query(sql`
    with gone as (
      delete from freehold.deliveries
      where tenant_id = ${tenantUuid} and consumer = ${consumer} and event_id = ${eventId} and lease = ${lease}
      returning tenant_id, consumer, event_id, seq, partition_key, envelope, created_at, attempts
    )
    insert into freehold.dead_letters (tenant_id, consumer, event_id, seq, partition_key, envelope, created_at, attempts, reason)
    select g.tenant_id, g.consumer, g.event_id, g.seq, g.partition_key, g.envelope, g.created_at, g.attempts, ${reason} from gone g
    on conflict (tenant_id, consumer, event_id) do update
      set envelope = excluded.envelope, attempts = excluded.attempts, reason = excluded.reason, failed_at = now()`);
  return count;
}

async function redrive(system: System, tenantUuid: string, consumer: string, eventId: string): Promise<number> {
  const { count } = await system.query(sql`
    with letter as (
      delete from freehold.dead_letters where tenant_id = ${tenantUuid} and consumer = ${consumer} and event_id = ${eventId}
      returning tenant_id, consumer, event_id, seq, partition_key, envelope, created_at
    )
    insert into freehold.deliveries (tenant_id, consumer, event_id, seq, partition_key, envelope, created_at)
    select l.tenant_id, l.consumer, l.event_id, l.seq, l.partition_key, l.envelope, l.created_at from letter l
    on conflict do nothing`);
  return count;
}
