import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { describe, test } from "node:test";
import fc from "fast-check";
import { createKeyring, Fault, type Json } from "../../src/kernel/index.ts";
import { createEnvelopes, type EnvelopePlace, EVENT_DATA_BYTES_MAX, type EventFacts } from "../../src/stores/events/envelope.ts";
import { contextOf, tenantOf } from "../support/tenants.ts";
import { keyring } from "./event-house.ts";

const A = tenantOf("a");
const B = tenantOf("b");
const { trace } = contextOf("a");
const envelopes = createEnvelopes(keyring);

const FACTS: EventFacts = {
  id: "0190b6f0-0000-7000-8000-000000000001",
  topic: "user.events",
  type: "user.created",
  key: "user-1",
  time: "2026-01-01T00:00:00.000Z",
  tenantId: A.id,
  tenantUuid: A.uuid,
  trace,
  data: { name: "Ada", nested: { list: [1, 2.5, null, true] } },
};
const PLACE: EnvelopePlace = { tenantUuid: A.uuid, eventId: FACTS.id, key: FACTS.key };
const sealed = envelopes.seal(FACTS);

type Fields = Record<string, Json>;
const fieldsOf = (text: string): Fields => JSON.parse(text) as Fields; // the text is an envelope's

const SEALED = "specversion id source type subject topic time tenantid tenantuuid datacontenttype traceparent".split(" ");

/** The seal as its documentation says it: written again, so that the format cannot change unseen. */
function sealAgain(fields: Fields): string {
  const mac = createHmac("sha256", keyring.key("event-seal"));
  for (const part of ["freehold-event/1", ...SEALED.map((name) => fields[name] as string), JSON.stringify(fields.data)]) {
    const length = Buffer.alloc(4); // all of SEALED are strings in the envelopes of these tests
    length.writeUInt32BE(Buffer.byteLength(part));
    mac.update(length).update(part);
  }
  return JSON.stringify({ ...fields, seal: mac.digest("base64url") });
}

function faultOf(change: Partial<EventFacts>): Fault["code"] | undefined {
  try {
    envelopes.seal({ ...FACTS, ...change });
    return undefined;
  } catch (error) {
    assert.ok(error instanceof Fault);
    return error.code;
  }
}

describe("a sealed envelope", () => {
  test("is a CloudEvents 1.0 document that names the tenant in its attributes and in its data", () => {
    const fields = fieldsOf(sealed);
    assert.deepEqual(Object.keys(fields), [...SEALED, "seal", "data"]);
    assert.equal(fields.specversion, "1.0");
    assert.equal(fields.source, "freehold/tenants/a");
    assert.equal(fields.subject, "user-1");
    assert.equal(fields.tenantid, "a");
    assert.equal(fields.traceparent, `00-${trace.traceId}-${trace.spanId}-01`);
    assert.deepEqual(fields.data, { ...FACTS.data, tenantId: "a" });
  });

  test("is sealed with an HMAC over the length and bytes of every part", () => {
    assert.equal(sealAgain(fieldsOf(sealed)), sealed);
  });

  test("opens to what was sealed", () => {
    const opening = envelopes.open(sealed, PLACE);
    assert.deepEqual(opening, { ok: true, event: { ...FACTS, data: { ...FACTS.data, tenantId: "a" } } });
  });

  test("does not open with another installation's key", () => {
    const other = createEnvelopes(createKeyring(Buffer.alloc(32, 8)));
    assert.deepEqual(other.open(sealed, PLACE), { ok: false, reason: "seal_invalid" });
  });
});

describe("an envelope is not opened", () => {
  const others: Fields = {
    specversion: "1.1",
    id: "0190b6f0-0000-7000-8000-000000000002",
    source: "freehold/tenants/b",
    type: "user.deleted",
    subject: "user-2",
    topic: "document.events",
    time: "2026-01-01T00:00:00.001Z",
    tenantid: "b",
    tenantuuid: B.uuid,
    datacontenttype: "text/json",
    traceparent: `00-${trace.traceId}-${trace.spanId}-00`,
    seal: "A".repeat(43),
    data: { name: "Eve", tenantId: "a" },
  };
  for (const [name, value] of Object.entries(others)) {
    test(`when its ${name} was changed`, () => {
      const opening = envelopes.open(JSON.stringify({ ...fieldsOf(sealed), [name]: value }), PLACE);
      assert.ok(!opening.ok);
    });
    test(`when its ${name} is missing, null or a number`, () => {
      const { [name]: _, ...rest } = fieldsOf(sealed);
      for (const changed of [rest, { ...fieldsOf(sealed), [name]: null }, { ...fieldsOf(sealed), [name]: 1 }]) {
        assert.deepEqual(envelopes.open(JSON.stringify(changed), PLACE), { ok: false, reason: "malformed" });
      }
    });
  }

  const spellings: Record<string, string> = {
    "with a field more": `{"extra":1,${sealed.slice(1)}`,
    "with a name twice": `{"specversion":"1.0",${sealed.slice(1)}`,
    "with white space": sealed.replace(":", ": "),
    "with another order": JSON.stringify(Object.fromEntries(Object.entries(fieldsOf(sealed)).toReversed())),
    "with another spelling of a character": sealed.replace("Ada", String.raw`\u0041da`),
    "with __proto__": sealed.replace('"name"', '"__proto__"'),
    "with a byte order mark": `\uFEFF${sealed}`,
    "that is cut off": sealed.slice(0, -1),
    "that is an array": `[${sealed}]`,
    "that is empty": "",
    "that is larger than any envelope": `${" ".repeat(EVENT_DATA_BYTES_MAX * 2)}${sealed}`,
  };
  for (const [name, text] of Object.entries(spellings)) {
    test(name, () => assert.deepEqual(envelopes.open(text, PLACE), { ok: false, reason: "malformed" }));
  }
});

describe("the tenant of an envelope", () => {
  // every way in which data, attributes and row can name a and b; each envelope has a right seal
  for (const data of ["a", "b"]) {
    for (const slug of ["a", "b"]) {
      for (const uuid of ["a", "b"]) {
        for (const row of ["a", "b"]) {
          const agree = data === slug && uuid === row;
          test(`data ${data}, attribute ${slug}, internal id ${uuid}, row ${row}: ${agree ? "opened" : "refused"}`, () => {
            const fields = { ...fieldsOf(sealed), source: `freehold/tenants/${slug}`, tenantid: slug, tenantuuid: tenantOf(uuid).uuid };
            const text = sealAgain({ ...fields, data: { name: "Ada", tenantId: data } });
            const opening = envelopes.open(text, { ...PLACE, tenantUuid: tenantOf(row).uuid });
            assert.equal(opening.ok, agree);
            if (!opening.ok) assert.equal(opening.reason, "tenant_disagreement");
          });
        }
      }
    }
  }

  for (const tenantId of [undefined, null, 1, "", "A", ["a"], { a: "a" }]) {
    test(`is not ${JSON.stringify(tenantId)} in its data`, () => {
      const text = sealAgain({ ...fieldsOf(sealed), data: tenantId === undefined ? {} : { tenantId } });
      assert.deepEqual(envelopes.open(text, PLACE), { ok: false, reason: "tenant_disagreement" });
    });
  }

  test("does not make another event's or another key's row its own", () => {
    assert.deepEqual(envelopes.open(sealed, { ...PLACE, eventId: B.uuid }), { ok: false, reason: "row_disagreement" });
    assert.deepEqual(envelopes.open(sealed, { ...PLACE, key: "user-2" }), { ok: false, reason: "row_disagreement" });
  });
});

describe("an event is refused before it is sealed", () => {
  test("when its data names another tenant", () => {
    assert.equal(faultOf({ data: { tenantId: "b" } }), "tenant_mismatch");
    assert.equal(faultOf({ data: { tenantId: null } }), "tenant_mismatch");
    assert.equal(faultOf({ data: { tenantId: "a" } }), undefined);
  });

  test("when its topic, type or key is not one", () => {
    for (const topic of ["x.", "x.*", "x.>", "x.a b", "x.A", "user", "user.events.b", "x..a"]) {
      assert.equal(faultOf({ topic: topic as EventFacts["topic"] }), "malformed_request", topic); // from callers without types
    }
    for (const type of ["", "User", "user created", ".user", "user."]) assert.equal(faultOf({ type }), "malformed_request", type);
    for (const key of ["", "\0", "\ud800", "k".repeat(513)]) assert.equal(faultOf({ key }), "malformed_request");
    assert.equal(faultOf({ topic: "x.orders", type: "order_paid", key: "k".repeat(512) }), undefined);
  });

  test("when its data is larger or deeper than allowed, or could not be read again as it was", () => {
    const roomy = EVENT_DATA_BYTES_MAX - JSON.stringify({ text: "", tenantId: "a" }).length;
    assert.equal(faultOf({ data: { text: "x".repeat(roomy) } }), undefined);
    assert.equal(faultOf({ data: { text: "x".repeat(roomy + 1) } }), "body_too_large");
    let deep: Json = 1;
    for (let i = 0; i < 40; i++) deep = [deep];
    assert.equal(faultOf({ data: { deep } }), "body_too_deep");
    assert.equal(faultOf({ data: { text: "\ud800" } }), "invalid_json");
    assert.equal(faultOf({ data: { text: "\0" } }), "invalid_json");
    assert.equal(faultOf({ data: JSON.parse('{"__proto__":1}') as Record<string, Json> }), "invalid_json"); // an object in the test's own text
  });
});

describe("for any event", () => {
  const seed = Number(process.env.FC_SEED ?? Date.now() % 2 ** 31);
  const options = { seed, numRuns: 1000 };
  const text = fc.string({ unit: "grapheme", maxLength: 40 }).filter((value) => value.isWellFormed() && !value.includes("\0"));
  const name = text.filter((value) => value !== "__proto__" && value !== "tenantId");
  const data = fc.dictionary(name, fc.oneof(text, fc.double({ noNaN: true, noDefaultInfinity: true }), fc.array(text), fc.constant(null)));
  const key = fc.string({ unit: "grapheme", minLength: 1, maxLength: 20 }).filter((value) => value.isWellFormed() && !value.includes("\0"));
  const facts = fc.record({ data, key, sampled: fc.boolean(), ms: fc.integer({ min: 0, max: 4_102_444_800_000 }) }).map((random) => ({
    ...FACTS,
    data: random.data,
    key: random.key,
    time: new Date(random.ms).toISOString(),
    trace: { ...trace, sampled: random.sampled },
  }));

  test(`what is sealed opens, as it was (seed ${seed})`, () => {
    fc.assert(
      fc.property(facts, (event) => {
        const opening = envelopes.open(envelopes.seal(event), { ...PLACE, key: event.key });
        assert.ok(opening.ok);
        assert.equal(JSON.stringify(opening.event.data), JSON.stringify({ ...event.data, tenantId: "a" }));
        assert.equal(opening.event.key, event.key);
      }),
      options,
    );
  });

  test(`no text with one character changed, put in or taken out is opened (seed ${seed})`, () => {
    const place = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
    const edit = fc.constantFrom("change", "insert", "remove");
    fc.assert(
      fc.property(facts, place, edit, fc.string({ unit: "binary", minLength: 1, maxLength: 1 }), (event, where, how, character) => {
        const original = envelopes.seal(event);
        const at = Math.floor(where * original.length);
        const kept = how === "insert" ? original.slice(at) : original.slice(at + 1);
        const changed = original.slice(0, at) + (how === "remove" ? "" : character) + kept;
        fc.pre(changed !== original);
        assert.ok(!envelopes.open(changed, { ...PLACE, key: event.key }).ok);
      }),
      options,
    );
  });
});
