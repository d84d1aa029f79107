import { createHmac, timingSafeEqual } from "node:crypto";
import {
  Fault,
  isUuid,
  type Json,
  type Keyring,
  parseJson,
  parseTenantId,
  parseTraceparent,
  type TenantId,
  toTraceparent,
  type Trace,
} from "../../kernel/index.ts";

/** Bytes of an event's data as JSON. */
export const EVENT_DATA_BYTES_MAX = 256 * 1024;
/** Objects and arrays inside each other in an event's data. */
const EVENT_DATA_DEPTH_MAX = 32;
/** Characters of an event's key. */
const EVENT_KEY_LENGTH_MAX = 512;

const PLATFORM_TOPICS = [
  "user.events",
  "document.events",
  "session.events",
  "tenant.events",
  "usage.events",
  // work on its way, for the platform's own consumers
  "channel.messages",
  "channel.replies",
] as const;
/** What an event is sent under: a topic of the platform, or one of the tenant's own, which begin with `x.`. */
export type Topic = (typeof PLATFORM_TOPICS)[number] | `x.${string}`;

/** What an event says: who it is of, what happened to what, and when. */
export interface EventFacts {
  /** UUID, unique. */
  readonly id: string;
  readonly topic: Topic;
  /** What happened, for example `user.created`. */
  readonly type: string;
  /** What it happened to. Events of one key keep their order. */
  readonly key: string;
  /** ISO 8601, UTC, milliseconds. */
  readonly time: string;
  readonly tenantId: TenantId;
  /** The tenant's internal id. */
  readonly tenantUuid: string;
  /** The span in which it was published. */
  readonly trace: Trace;
  readonly data: Readonly<Record<string, Json>>;
}

/** An event out of an envelope whose seal was right. `data.tenantId` is the tenant's name. */
export type OpenedEvent = EventFacts;

/** Why an envelope is not opened. It is then put aside and never handled. */
export type QuarantineReason = "malformed" | "seal_invalid" | "tenant_disagreement" | "row_disagreement" | "unknown_tenant";

/** Where an envelope was found: every part of it has to say the same. */
export interface EnvelopePlace {
  readonly tenantUuid: string;
  readonly eventId: string;
  readonly key: string;
}

/** The outcome of opening an envelope. */
export type Opening =
  | { readonly ok: true; readonly event: OpenedEvent }
  | { readonly ok: false; readonly reason: Exclude<QuarantineReason, "unknown_tenant"> };

/** Makes envelopes that cannot be changed unseen, and opens them. */
export interface Envelopes {
  /** The envelope's text. Throws `malformed_request`, `invalid_json`, `body_too_large`, `body_too_deep` or `tenant_mismatch`. */
  seal(facts: EventFacts): string;
  /**
   * The event, if the text is byte for byte what `seal` made, of the tenant and at the place where it was found, where the place says so.
   * No other text is ever opened: not one with a space more, a name twice, or another order.
   */
  open(text: string, place?: EnvelopePlace): Opening;
}

/** CloudEvents 1.0 in structured mode (JSON event format), in this order and without white space. */
const ATTRIBUTES = [
  "specversion",
  "id",
  "source",
  "type",
  "subject",
  "topic",
  "time",
  "tenantid",
  "tenantuuid",
  "datacontenttype",
  "traceparent",
] as const;
type Attributes = Readonly<Record<(typeof ATTRIBUTES)[number], string>>;

/** Binds the seal to this format: another one gets another name. */
const SEAL_FORMAT = "freehold-event/1";
const ENVELOPE_BYTES_MAX = EVENT_DATA_BYTES_MAX + 8 * 1024;
const OWN_TOPIC = /^x(?:\.[a-z0-9][a-z0-9_-]{0,62}){1,4}$/; // no wildcard of any bus
const TYPE = /^[a-z][a-z0-9_]{0,62}(?:\.[a-z0-9_]{1,63}){0,5}$/;

/** Envelopes sealed with the installation's key. */
export function createEnvelopes(keyring: Keyring): Envelopes {
  const key = keyring.key("event-seal");
  return {
    seal(facts) {
      assertFacts(facts);
      const attributes = attributesOf(facts);
      const data = dataText(facts);
      return compose(attributes, data, sealOf(key, attributes, data));
    },
    open(text, place) {
      const parts = parseEnvelope(text);
      if (!parts) return { ok: false, reason: "malformed" };
      const { attributes, data, seal, facts } = parts;
      if (!equal(seal, sealOf(key, attributes, data))) return { ok: false, reason: "seal_invalid" };
      if (facts.data.tenantId !== facts.tenantId) return { ok: false, reason: "tenant_disagreement" };
      if (!place) return { ok: true, event: facts };
      if (facts.tenantUuid !== place.tenantUuid) return { ok: false, reason: "tenant_disagreement" };
      if (facts.id !== place.eventId || facts.key !== place.key) return { ok: false, reason: "row_disagreement" };
      return { ok: true, event: facts };
    },
  };
}

function assertFacts({ topic, type, key, data, tenantId }: EventFacts): void {
  if (!isTopic(topic)) throw malformed("topic", "An event needs one of the platform's topics, or x.<own name>.");
  if (!TYPE.test(type)) throw malformed("type", "An event's type is lower-case words with dots, such as user.created.");
  if (!isKey(key)) throw malformed("key", `An event's key has 1 to ${EVENT_KEY_LENGTH_MAX} characters.`);
  if (Object.hasOwn(data, "tenantId") && data.tenantId !== tenantId) {
    throw new Fault("tenant_mismatch", "an event's data names another tenant than its context");
  }
}

function isTopic(value: string): value is Topic {
  return PLATFORM_TOPICS.some((topic) => topic === value) || OWN_TOPIC.test(value);
}

function isKey(key: string): boolean {
  return key.length >= 1 && key.length <= EVENT_KEY_LENGTH_MAX && key.isWellFormed() && !key.includes("\0");
}

function attributesOf({ id, topic, type, key, time, tenantId, tenantUuid, trace }: EventFacts): Attributes {
  return {
    specversion: "1.0",
    id,
    source: `freehold/tenants/${tenantId}`,
    type,
    subject: key,
    topic,
    time,
    tenantid: tenantId,
    tenantuuid: tenantUuid,
    datacontenttype: "application/json",
    traceparent: toTraceparent(trace),
  };
}

function dataText({ data, tenantId }: EventFacts): string {
  const text = JSON.stringify({ ...data, tenantId });
  // what the strict reader would refuse must not be published, or its change would be lost
  parseJson(Buffer.from(text), { bytesMax: EVENT_DATA_BYTES_MAX, depthMax: EVENT_DATA_DEPTH_MAX });
  return text;
}

function compose(attributes: Attributes, data: string, seal: string): string {
  const members = ATTRIBUTES.map((name) => `"${name}":${JSON.stringify(attributes[name])}`);
  return `{${members.join(",")},"seal":${JSON.stringify(seal)},"data":${data}}`;
}

/** Each part is preceded by its length, so that no two different envelopes give the same bytes. */
function sealOf(key: Buffer, attributes: Attributes, data: string): string {
  const mac = createHmac("sha256", key);
  for (const part of [SEAL_FORMAT, ...ATTRIBUTES.map((name) => attributes[name]), data]) {
    const bytes = Buffer.from(part, "utf8");
    const length = Buffer.alloc(4);
    length.writeUInt32BE(bytes.length);
    mac.update(length).update(bytes);
  }
  return mac.digest("base64url");
}

function equal(a: string, b: string): boolean {
  const [left, right] = [Buffer.from(a), Buffer.from(b)];
  return left.length === right.length && timingSafeEqual(left, right);
}

interface EnvelopeParts {
  readonly attributes: Attributes;
  readonly data: string;
  readonly seal: string;
  readonly facts: EventFacts;
}

function parseEnvelope(text: string): EnvelopeParts | undefined {
  const envelope = strictObject(text);
  if (!envelope) return undefined;
  const { seal, data } = envelope;
  if (typeof seal !== "string" || !isObject(data)) return undefined;
  const facts = factsOf(envelope, data);
  if (!facts) return undefined;
  const attributes = attributesOf(facts);
  const dataAgain = JSON.stringify(data);
  // everything is there, nothing else is, and nothing is spelled in another way
  return compose(attributes, dataAgain, seal) === text ? { attributes, data: dataAgain, seal, facts } : undefined;
}

function strictObject(text: string): Record<string, Json> | undefined {
  try {
    const value = parseJson(Buffer.from(text), { bytesMax: ENVELOPE_BYTES_MAX, depthMax: EVENT_DATA_DEPTH_MAX + 1 });
    return isObject(value) ? value : undefined;
  } catch (error) {
    if (error instanceof Fault) return undefined; // not strict JSON, or beyond the bounds
    throw error;
  }
}

function factsOf(envelope: Record<string, Json>, data: Record<string, Json>): EventFacts | undefined {
  const { id, topic, type, subject: key, time, tenantuuid: tenantUuid, traceparent } = envelope;
  const tenantId = parseTenantId(envelope.tenantid);
  const trace = typeof traceparent === "string" ? parseTraceparent(traceparent) : undefined;
  if (tenantId === undefined || trace === undefined) return undefined;
  if (typeof id !== "string" || !isUuid(id) || typeof tenantUuid !== "string" || !isUuid(tenantUuid)) return undefined;
  if (typeof topic !== "string" || !isTopic(topic) || typeof type !== "string" || !TYPE.test(type)) return undefined;
  if (typeof key !== "string" || !isKey(key) || typeof time !== "string" || !isTime(time)) return undefined;
  return { id, topic, type, key, time, tenantId, tenantUuid, trace, data };
}

function isTime(time: string): boolean {
  const ms = Date.parse(time);
  return !Number.isNaN(ms) && new Date(ms).toISOString() === time;
}

function isObject(value: Json | undefined): value is Record<string, Json> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function malformed(field: string, detail: string): Fault {
  return new Fault("malformed_request", `event: bad ${field}`, { public: { detail, field } });
}
