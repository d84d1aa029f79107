import {
  type Clock,
  createKeyring,
  type Fault,
  type Json,
  type Random,
  systemClock,
  systemRandom,
  type TenantContext,
} from "../../src/kernel/index.ts";
import { type DataStore, sql } from "../../src/stores/data/index.ts";
import {
  type ContextOpener,
  createEventStore,
  createPostgresBus,
  createWorker,
  type EventBus,
  type EventConsumer,
  type EventStore,
  type EventWorker,
  type OpenedEvent,
  type Quarantine,
  type WorkerReport,
} from "../../src/stores/events/index.ts";
import { contextOf, valueOf } from "../support/tenants.ts";

/** The root key of every test installation. */
export const keyring = createKeyring(Buffer.alloc(32, 7));
/** Bytes of nothing but zeros: every pause between attempts is 0. */
export const noRandom: Random = { bytes: (size) => Buffer.alloc(size) };

export type Service = "active" | "suspended" | "deleted" | "unknown";

/** An installation with a registry that the test fills, consumers that keep what they were given, and workers over it. */
export interface EventHouse {
  readonly data: DataStore;
  readonly bus: EventBus;
  readonly events: EventStore;
  /** What the registry says of each tenant, by slug: active unless it is in here. */
  readonly services: Map<string, Service>;
  readonly quarantines: Quarantine[];
  readonly faults: Fault[];
  worker(change?: WorkerChange): EventWorker;
  /** Publishes one event in a transaction of its own. */
  publish(tenant: string, key: string, data?: Record<string, Json>): Promise<string>;
}

/** What a test changes about a worker. */
export interface WorkerChange {
  readonly consumers?: readonly EventConsumer[];
  readonly bus?: EventBus;
  readonly random?: Random;
  readonly clock?: Clock;
  readonly handlerTimeoutMs?: number;
  readonly concurrency?: { readonly total: number; readonly perTenant: number };
  readonly openContext?: ContextOpener;
  readonly report?: WorkerReport;
}

/** A consumer that keeps what it handles, and whose effect is a row of the tenant that names the event. */
export function recorder(name = "recorder", before: (event: OpenedEvent, context: TenantContext) => Promise<void> = async () => {}) {
  const handled: { readonly tenant: string; readonly event: OpenedEvent }[] = [];
  const consumer: EventConsumer = {
    name,
    topics: ["user.events"],
    async handle(event, context) {
      await before(event, context);
      handled.push({ tenant: context.tenant.id, event });
      return async (tx) => {
        await tx.query(sql`
          insert into freehold.documents (tenant_id, id, title, body, created_by)
          values (${context.tenant.uuid}, gen_random_uuid()::text, ${event.id}, ${name}, 'event')`);
      };
    },
  };
  return { consumer, handled };
}

/** The house over an open store. `consumers` are whom the bus delivers to. */
export function createEventHouse(data: DataStore, consumers: readonly EventConsumer[]): EventHouse {
  const services = new Map<string, Service>();
  const quarantines: Quarantine[] = [];
  const faults: Fault[] = [];
  const bus = createPostgresBus(data, consumers);
  const events = createEventStore({ keyring, clock: systemClock, random: systemRandom });
  const openContext: ContextOpener = async (tenantUuid, tenantId) => {
    const service = services.get(tenantId) ?? "active";
    if (service !== "active") return { ok: false, reason: service };
    const context = contextOf(tenantId);
    return context.tenant.uuid === tenantUuid ? { ok: true, context } : { ok: false, reason: "unknown" };
  };
  return {
    data,
    bus,
    events,
    services,
    quarantines,
    faults,
    worker: (change = {}) =>
      createWorker({
        bus,
        data,
        keyring,
        clock: systemClock,
        random: noRandom,
        openContext,
        consumers,
        report: {
          onQuarantine: async (quarantine) => void quarantines.push(quarantine),
          onFault: (fault) => void faults.push(fault),
        },
        ...change,
      }),
    async publish(tenant, key, more = {}) {
      const context = contextOf(tenant);
      const event = { topic: "user.events", type: "user.created", key, data: { name: valueOf(tenant, "Ada"), ...more } } as const;
      return await data.forTenant(context).transaction((tx) => events.forTenant(context).publish(tx, event));
    },
  };
}

/** How often the effect of each event has happened to the tenant. */
export async function effectsOf(data: DataStore, tenant: string): Promise<Map<string, number>> {
  const { rows } = await data
    .forTenant(contextOf(tenant))
    .query<{ title: string; count: number }>(sql`select title, count(*) as count from freehold.documents group by title`);
  return new Map(rows.map(({ title, count }) => [title, count]));
}

/** One delivery as it lies in its table. */
export interface DeliveryRow {
  readonly tenant_id: string;
  readonly consumer: string;
  readonly event_id: string;
  readonly envelope: string;
  readonly attempts: number;
  readonly due: boolean;
  readonly last_error: string | null;
}

/** All deliveries, oldest first. */
export async function deliveriesIn(data: DataStore): Promise<readonly DeliveryRow[]> {
  const { rows } = await data.system.query<DeliveryRow>(sql`
    select tenant_id, consumer, event_id, envelope, attempts, coalesce(due_at <= now(), false) as due, last_error
    from freehold.deliveries order by seq, consumer`);
  return rows;
}

/** One dead letter. */
export interface LetterRow {
  readonly tenant_id: string;
  readonly event_id: string;
  readonly envelope: string;
  readonly attempts: number;
  readonly reason: string;
}

/** All dead letters, oldest event first. */
export async function lettersIn(data: DataStore): Promise<readonly LetterRow[]> {
  const { rows } = await data.system.query<LetterRow>(
    sql`select tenant_id, event_id, envelope, attempts, reason from freehold.dead_letters order by seq`,
  );
  return rows;
}

/** Lets every pause and every lease be over. */
export async function passTime(data: DataStore): Promise<void> {
  await data.system.query(sql`update freehold.deliveries set due_at = now() where due_at is not null`);
}

/** Rows in the outbox. */
export async function outboxSize(data: DataStore): Promise<number> {
  const { rows } = await data.system.query<{ count: number }>(sql`select count(*) as count from freehold.outbox`);
  return rows[0]?.count ?? -1;
}
