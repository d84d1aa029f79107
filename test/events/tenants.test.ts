import assert from "node:assert/strict";
import { beforeEach, describe, test } from "node:test";
import { Fault, type Json } from "../../src/kernel/index.ts";
import { type DataStore, sql } from "../../src/stores/data/index.ts";
import { eachEngine } from "../support/engines.ts";
import { assertNoCanary, contextOf } from "../support/tenants.ts";
import { createEventHouse, deliveriesIn, effectsOf, type EventHouse, lettersIn, passTime, recorder } from "./event-house.ts";

const A = contextOf("a").tenant;
const B = contextOf("b").tenant;

type Fields = Record<string, Json>;

/** Each field of an envelope, with another value that would be right in another envelope. */
const CHANGES: Fields = {
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
  traceparent: `00-${"1".repeat(32)}-${"2".repeat(16)}-00`,
  seal: "A".repeat(43),
  data: { name: "Eve", tenantId: "a" },
};

async function changeEnvelope(data: DataStore, eventId: string, change: (fields: Fields) => Fields): Promise<void> {
  const row = (await deliveriesIn(data)).find(({ event_id }) => event_id === eventId);
  assert.ok(row);
  const envelope = JSON.stringify(change(JSON.parse(row.envelope) as Fields)); // an envelope that this house has sealed
  await data.system.query(sql`update freehold.deliveries set envelope = ${envelope} where event_id = ${eventId}`);
}

eachEngine((engine) => {
  describe("the tenant of an event", () => {
    let data: DataStore;
    let house: EventHouse;
    let handled: ReturnType<typeof recorder>["handled"];
    beforeEach(async () => {
      data = await engine.open();
      const recording = recorder();
      handled = recording.handled;
      house = createEventHouse(data, [recording.consumer, { ...recorder("other").consumer, topics: ["document.events"] }]);
    });

    test("an envelope with any field changed is quarantined under its row's tenant, reported, and never handled", async () => {
      const ids = new Map<string, string>();
      for (const name of Object.keys(CHANGES)) ids.set(name, await house.publish("a", "user-1"));
      await house.bus.relay();
      for (const [name, id] of ids) await changeEnvelope(data, id, (fields) => ({ ...fields, [name]: CHANGES[name] ?? null }));
      const tampered = new Map((await deliveriesIn(data)).map(({ event_id, envelope }) => [event_id, envelope]));
      await house.worker().drain();
      assert.equal(handled.length, 0);
      assert.deepEqual(await deliveriesIn(data), []);
      const letters = await lettersIn(data);
      assert.equal(letters.length, ids.size);
      for (const { tenant_id, event_id, envelope, attempts, reason } of letters) {
        assert.deepEqual({ tenant_id, attempts, envelope }, { tenant_id: A.uuid, attempts: 1, envelope: tampered.get(event_id) });
        assert.match(reason, /^(?:malformed|seal_invalid)$/);
      }
      assert.deepEqual(
        house.quarantines.map(({ eventId, tenantUuid, consumer }) => ({ eventId, tenantUuid, consumer })),
        [...ids.values()].map((eventId) => ({ eventId, tenantUuid: A.uuid, consumer: "recorder" })),
      );
    });

    test("an envelope in another tenant's row is quarantined there, and neither tenant reads it", async () => {
      const ofA = await house.publish("a", "user-1");
      const ofB = await house.publish("b", "user-1");
      await house.bus.relay();
      await data.system.query(sql`update freehold.deliveries set tenant_id = ${B.uuid} where event_id = ${ofA}`);
      await data.system.query(sql`update freehold.deliveries set tenant_id = ${A.uuid} where event_id = ${ofB}`);
      await house.worker().drain();
      assert.equal(handled.length, 0);
      assert.deepEqual(
        (await lettersIn(data)).map(({ tenant_id, event_id, reason }) => [tenant_id, event_id, reason]),
        [
          [B.uuid, ofA, "tenant_disagreement"],
          [A.uuid, ofB, "tenant_disagreement"],
        ],
      );
      const asA = data.forTenant(contextOf("a"));
      await assert.rejects(asA.query(sql`select envelope from freehold.dead_letters`), Fault);
      const seen = await asA.query(sql`select tenant_id, consumer, event_id, attempts, reason, failed_at from freehold.dead_letters`);
      assert.equal(seen.rows.length, 1);
      assertNoCanary([seen.rows, house.quarantines, house.faults]);
    });

    test("an envelope in another event's row, another key's or another consumer's is quarantined", async () => {
      const [first, second, third, fourth] = [
        await house.publish("a", "k1", { n: 1 }),
        await house.publish("a", "k2", { n: 2 }),
        await house.publish("a", "k3", { n: 3 }),
        await house.publish("a", "k4", { n: 4 }),
      ];
      await house.bus.relay();
      await data.system.query(sql`update freehold.deliveries d set envelope = o.envelope from freehold.deliveries o
        where d.event_id = ${first} and o.event_id = ${second}`);
      await data.system.query(sql`update freehold.deliveries set partition_key = 'k5' where event_id = ${third}`);
      await data.system.query(sql`update freehold.deliveries set consumer = 'other' where event_id = ${fourth}`);
      await house.worker().drain();
      assert.deepEqual(
        handled.map(({ event }) => event.id),
        [second],
      );
      assert.deepEqual(
        (await lettersIn(data)).map(({ event_id, reason }) => [event_id, reason]),
        [first, third, fourth].map((id) => [id, "row_disagreement"]),
      );
    });

    test("the events of a tenant that is served again are handled at once, in the order of each key, and no other tenant's", async () => {
      house.services.set("a", "suspended").set("b", "suspended");
      const ids: string[] = [];
      for (let n = 0; n < 4; n++) for (const key of ["k1", "k2"]) ids.push(await house.publish("a", key, { n }));
      await house.publish("b", "k1");
      const worker = house.worker();
      await worker.drain();
      assert.deepEqual([handled.length, (await deliveriesIn(data)).length], [0, ids.length + 1]);
      house.services.set("a", "active").set("b", "active");
      await worker.unpark(A.uuid);
      await worker.drain();
      const ofKey = (key: string): unknown[] =>
        handled.filter(({ event }) => event.key === key).map(({ tenant, event }) => [tenant, event.data["n"]]);
      for (const key of ["k1", "k2"])
        assert.deepEqual(
          ofKey(key),
          [0, 1, 2, 3].map((n) => ["a", n]),
        );
      assert.deepEqual(
        (await deliveriesIn(data)).map(({ tenant_id }) => tenant_id),
        [B.uuid],
      );
    });

    test("a tampered envelope is quarantined again when it is sent again", async () => {
      const id = await house.publish("a", "user-1");
      await house.bus.relay();
      await changeEnvelope(data, id, (fields) => ({ ...fields, tenantid: "b" }));
      const worker = house.worker();
      await worker.drain();
      assert.equal(await worker.redrive(A.uuid, "recorder", id), true);
      await worker.drain();
      assert.equal(handled.length, 0);
      assert.equal(house.quarantines.length, 2);
      assert.equal((await lettersIn(data)).length, 1);
    });

    test("a quarantine that cannot be reported stays, unhandled, and is reported later", async () => {
      const id = await house.publish("a", "user-1");
      await house.bus.relay();
      await changeEnvelope(data, id, (fields) => ({ ...fields, tenantid: "b" }));
      const report = { onFault: () => {}, onQuarantine: () => Promise.reject(new Error("no audit trail")) };
      await house.worker({ report }).drain();
      assert.equal(handled.length, 0);
      assert.deepEqual(await lettersIn(data), []);
      await passTime(data);
      await house.worker().drain();
      assert.equal(house.quarantines.length, 1);
      assert.equal((await lettersIn(data)).length, 1);
    });

    test("events of a suspended tenant wait without an attempt being counted, and are handled when it is served again", async () => {
      house.services.set("a", "suspended");
      const ids = [await house.publish("a", "k1"), await house.publish("a", "k1"), await house.publish("a", "k2")];
      await house.publish("b", "k1");
      const worker = house.worker();
      for (let i = 0; i < 20; i++) {
        await worker.drain();
        await passTime(data);
      }
      assert.deepEqual(
        handled.map(({ tenant }) => tenant),
        ["b"],
      );
      assert.deepEqual(
        (await deliveriesIn(data)).map(({ event_id, attempts }) => [event_id, attempts]),
        ids.map((id) => [id, 0]),
      );
      house.services.delete("a");
      await worker.drain();
      assert.deepEqual(await effectsOf(data, "a"), new Map(ids.map((id) => [id, 1])));
    });

    test("a dead letter is sent again under what its tenant is now", async () => {
      let broken = true;
      const { consumer } = recorder("recorder", async () => {
        if (broken) throw new Fault("upstream_unreachable", "no model");
      });
      const worker = house.worker({ consumers: [consumer] });
      const id = await house.publish("a", "user-1");
      await worker.drain();
      broken = false;
      house.services.set("a", "suspended");
      assert.equal(await worker.redrive(A.uuid, "recorder", id), true);
      await worker.drain();
      assert.deepEqual(await effectsOf(data, "a"), new Map());
      assert.deepEqual(
        (await deliveriesIn(data)).map(({ last_error, due }) => ({ last_error, due })),
        [{ last_error: "tenant_suspended", due: false }],
      );
      house.services.delete("a");
      await passTime(data);
      await worker.drain();
      assert.deepEqual(await effectsOf(data, "a"), new Map([[id, 1]]));
    });

    test("events of a deleted tenant are dropped; of an unknown one, quarantined", async () => {
      house.services.set("a", "deleted");
      house.services.set("b", "unknown");
      await house.publish("a", "user-1");
      const ofB = await house.publish("b", "user-1");
      await house.worker().drain();
      assert.equal(handled.length, 0);
      assert.deepEqual(await deliveriesIn(data), []);
      assert.deepEqual(
        (await lettersIn(data)).map(({ tenant_id, event_id, reason }) => [tenant_id, event_id, reason]),
        [[B.uuid, ofB, "unknown_tenant"]],
      );
      assert.deepEqual(
        house.quarantines.map(({ reason, tenantUuid }) => [reason, tenantUuid]),
        [["unknown_tenant", B.uuid]],
      );
    });

    test("an event is not handled in the context of another tenant, whatever the registry says", async () => {
      await house.publish("a", "user-1");
      await house.worker({ openContext: async () => ({ ok: true, context: contextOf("b") }) }).drain();
      assert.equal(handled.length, 0);
      assert.deepEqual(
        (await lettersIn(data)).map(({ reason }) => reason),
        ["tenant_disagreement"],
      );
    });

    test("a registry that does not answer counts as an attempt, and nothing is handled meanwhile", async () => {
      await house.publish("a", "user-1");
      await house.worker({ openContext: () => Promise.reject(new Fault("dependency_unavailable", "no registry")) }).drain();
      assert.equal(handled.length, 0);
      assert.deepEqual(
        (await lettersIn(data)).map(({ reason, attempts }) => [reason, attempts]),
        [["dependency_unavailable", 8]],
      );
    });

    test("what one tenant's events say reaches that tenant only", async () => {
      for (let n = 0; n < 30; n++) {
        await house.publish("a", "user-1", { n });
        await house.publish("b", "user-1", { n });
      }
      await house.worker().drain();
      assert.equal(handled.length, 60);
      for (const { tenant, event } of handled) assert.equal(event.tenantId, tenant);
      assertNoCanary(handled.filter(({ tenant }) => tenant === "a"));
      const stored = await data.forTenant(contextOf("a")).query(sql`select title, body from freehold.documents`);
      assert.equal(stored.rows.length, 30);
      const ofB = new Set(handled.filter(({ tenant }) => tenant === "b").map(({ event }) => event.id));
      assert.ok(stored.rows.every(({ title }) => !ofB.has(String(title))));
    });
  });
});
