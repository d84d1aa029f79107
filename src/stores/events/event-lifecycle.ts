import { Fault, type Json, type Keyring, type StoreRecord, type StoreTenant, type Trace } from "../../kernel/index.ts";
import { createRowLifecycle, type DataStore, type RowLifecycle, sql } from "../data/index.ts";
import { createEnvelopes, type Envelopes, type EventFacts, type Topic } from "./envelope.ts";

const PLACES: ReadonlySet<string> = new Set(["freehold.outbox", "freehold.deliveries", "freehold.inbox", "freehold.dead_letters"]);
const PAGE = 200;
const CONSUMER = /^[a-z][a-z0-9-]{0,62}$/;
const REASON = /^[a-z_]{1,64}$/;
/** Imported events stand before every event that is published afterwards. */
const FIRST_SEQ = -1_000_000_000_000_000;

/** An event that is on its way, or put aside, as it is exported: what it says, without the seal, which is the installation's. */
interface EventRecord {
  readonly id: string;
  readonly topic: string;
  readonly type: string;
  readonly key: string;
  readonly time: string;
  readonly data: Readonly<Record<string, Json>>;
  /** Of an event that is on its way to one consumer, or was put aside by it. */
  readonly consumer?: string;
  /** Why it was put aside. */
  readonly reason?: string;
}

interface Row {
  readonly id: string;
  readonly key: string;
  readonly seq: number;
  readonly envelope: string;
  readonly consumer: string | null;
  readonly reason: string | null;
}

/**
 * The life of a tenant in the event store. What is on its way and what was put aside goes along and is sealed anew where it is put; what
 * was handled does not. An envelope that is not this tenant's own is never exported.
 */
export function createEventLifecycle({ data, keyring }: { readonly data: DataStore; readonly keyring: Keyring }): RowLifecycle {
  const envelopes = createEnvelopes(keyring);
  return {
    ...createRowLifecycle(data.rows, { name: "events", owns: (place) => PLACES.has(place) }),
    async *export(tenant) {
      // in the order in which an event moves on: one that does meanwhile is there twice rather than not at all, and put once
      for (const { kind, page } of [
        { kind: "event", page: outbox },
        { kind: "delivery", page: deliveries },
        { kind: "dead_letter", page: deadLetters },
      ] as const) {
        for await (const row of pages((after) => page(data, tenant, after))) {
          const value = valueOf(envelopes, tenant, row);
          if (value) yield { kind, value: { ...value } };
        }
      }
    },
    async import(tenant, records) {
      let seq = FIRST_SEQ;
      for await (const record of records) await put(data, envelopes, tenant, record.kind, eventOf(record), seq++);
    },
  };
}

async function* pages(page: (after: number) => Promise<readonly Row[]>): AsyncGenerator<Row> {
  let after = Number.MIN_SAFE_INTEGER;
  for (;;) {
    const rows = await page(after);
    yield* rows;
    const last = rows.at(-1);
    if (!last || rows.length < PAGE) return;
    after = last.seq;
  }
}

async function outbox({ system }: DataStore, { uuid }: StoreTenant, after: number): Promise<readonly Row[]> {
  const { rows } = await system.query<Row>(sql`
    select o.id, o.partition_key as key, o.seq, o.envelope, null::text as consumer, null::text as reason
    from freehold.outbox o where o.tenant_id = ${uuid} and o.seq > ${after} order by o.seq limit ${PAGE}`);
  return rows;
}

/** Deliveries and dead letters of one event to several consumers have one number: a page never ends between them. */
async function deliveries({ system }: DataStore, { uuid }: StoreTenant, after: number): Promise<readonly Row[]> {
  const { rows } = await system.query<Row>(sql`
    select d.event_id as id, d.partition_key as key, d.seq, d.envelope, d.consumer, null::text as reason
    from freehold.deliveries d where d.tenant_id = ${uuid} and d.seq > ${after}
    order by d.seq, d.consumer fetch first ${PAGE} rows with ties`);
  return rows;
}

async function deadLetters({ system }: DataStore, { uuid }: StoreTenant, after: number): Promise<readonly Row[]> {
  const { rows } = await system.query<Row>(sql`
    select d.event_id as id, d.partition_key as key, d.seq, d.envelope, d.consumer, d.reason
    from freehold.dead_letters d where d.tenant_id = ${uuid} and d.seq > ${after} order by d.seq fetch first ${PAGE} rows with ties`);
  return rows;
}

function valueOf(envelopes: Envelopes, { uuid }: StoreTenant, row: Row): EventRecord | undefined {
  const opening = envelopes.open(row.envelope, { tenantUuid: uuid, eventId: row.id, key: row.key });
  if (!opening.ok) return undefined; // a quarantined one can be another tenant's
  const { id, topic, type, key, time, data } = opening.event;
  const { tenantId: _own, ...said } = data;
  return {
    id,
    topic,
    type,
    key,
    time,
    data: said,
    ...(row.consumer !== null && { consumer: row.consumer }),
    ...(row.reason !== null && { reason: row.reason }),
  };
}

async function put(
  { system }: DataStore,
  envelopes: Envelopes,
  tenant: StoreTenant,
  kind: string,
  record: EventRecord,
  seq: number,
): Promise<void> {
  const { uuid } = tenant;
  const { id, topic, type, key, time, data, consumer, reason } = record;
  // sealing checks the topic, the type and the key
  const facts: EventFacts = { id, topic: topic as Topic, type, key, time, tenantId: tenant.id, tenantUuid: uuid, trace: traceOf(id), data };
  const envelope = envelopes.seal(facts);
  if (!envelopes.open(envelope, { tenantUuid: uuid, eventId: id, key }).ok) throw unfit();
  if (kind === "event" && consumer === undefined && reason === undefined) {
    await system.query(sql`
      insert into freehold.outbox (tenant_id, id, topic, partition_key, envelope) values (${uuid}, ${id}, ${topic}, ${key}, ${envelope})`);
  } else if (kind === "delivery" && consumer !== undefined && reason === undefined) {
    await system.query(sql`
      insert into freehold.deliveries (tenant_id, consumer, event_id, seq, partition_key, envelope)
      values (${uuid}, ${consumer}, ${id}, ${seq}, ${key}, ${envelope})`);
  } else if (kind === "dead_letter" && consumer !== undefined && reason !== undefined) {
    await system.query(sql`
      insert into freehold.dead_letters (tenant_id, consumer, event_id, seq, partition_key, envelope, created_at, attempts, reason)
      values (${uuid}, ${consumer}, ${id}, ${seq}, ${key}, ${envelope}, now(), 0, ${reason})`);
  } else {
    throw unfit();
  }
}

/** The trace of an event that came out of an archive begins with the event itself. */
function traceOf(id: string): Trace {
  const digits = id.replaceAll("-", "");
  return { traceId: digits, spanId: digits.slice(16), sampled: false };
}

function eventOf({ value }: StoreRecord): EventRecord {
  const { id, topic, type, key, time, data, consumer, reason, ...others } = value;
  const texts = [id, topic, type, key, time].every((text) => typeof text === "string");
  const whole =
    texts &&
    Object.keys(others).length === 0 &&
    typeof data === "object" &&
    data !== null &&
    !Array.isArray(data) &&
    !Object.hasOwn(data, "tenantId") &&
    (consumer === undefined || (typeof consumer === "string" && CONSUMER.test(consumer))) &&
    (reason === undefined || (typeof reason === "string" && REASON.test(reason)));
  if (!whole) throw unfit();
  return value as unknown as EventRecord; // every part was looked at above
}

function unfit(): Fault {
  return new Fault("invalid_settings", "a record that is no event", { public: { detail: "A record of the event store is not an event." } });
}
