import assert from "node:assert/strict";
import { before, describe, test } from "node:test";
import { Fault } from "../../src/kernel/index.ts";
import { type DataStore, sql } from "../../src/stores/data/index.ts";
import { eachEngine } from "../support/engines.ts";
import { assertNoCanary, contextOf } from "../support/tenants.ts";
import { createEventHouse, deliveriesIn, type EventHouse, outboxSize, recorder } from "./event-house.ts";

const A = contextOf("a");
const EVENT = { topic: "user.events", type: "user.created", key: "user-1", data: {} } as const;

async function faultOf(work: Promise<unknown>): Promise<Fault> {
  try {
    await work;
  } catch (error) {
    assert.ok(error instanceof Fault);
    return error;
  }
  assert.fail("nothing was refused");
}

eachEngine((engine) => {
  describe("publishing", () => {
    let data: DataStore;
    let house: EventHouse;
    const { consumer, handled } = recorder();
    before(async () => {
      data = await engine.open();
      house = createEventHouse(data, [consumer]);
    });

    test("an event is published if its transaction commits, together with the change it tells of", async () => {
      const id = await data.forTenant(A).transaction(async (tx) => {
        await tx.query(
          sql`insert into freehold.documents (tenant_id, id, title, body, created_by) values (${A.tenant.uuid}, '1', 't', 'b', 'u')`,
        );
        return await house.events.forTenant(A).publish(tx, EVENT);
      });
      await house.worker().drain();
      assert.deepEqual(
        handled.map(({ event }) => event.id),
        [id],
      );
      assert.equal(await outboxSize(data), 0);
      assert.deepEqual(await deliveriesIn(data), []);
    });

    test("no event is published by a transaction that fails after it", async () => {
      const known = handled.length;
      const work = data.forTenant(A).transaction(async (tx) => {
        await house.events.forTenant(A).publish(tx, EVENT);
        throw new Fault("conflict", "the change is refused");
      });
      assert.equal((await faultOf(work)).code, "conflict");
      await house.worker().drain();
      assert.equal(handled.length, known);
      assert.equal(await outboxSize(data), 0);
    });

    test("no event of one tenant is published in a transaction of another", async () => {
      const known = handled.length;
      const fault = await faultOf(data.forTenant(A).transaction((tx) => house.events.forTenant(contextOf("b")).publish(tx, EVENT)));
      assert.equal(fault.code, "forbidden");
      await house.worker().drain();
      assert.equal(handled.length, known);
    });

    test("an event beyond the bounds is refused and leaves nothing behind", async () => {
      const big = { ...EVENT, data: { text: "x".repeat(256 * 1024) } };
      const fault = await faultOf(data.forTenant(A).transaction((tx) => house.events.forTenant(A).publish(tx, big)));
      assert.equal(fault.code, "body_too_large");
      assert.equal(await outboxSize(data), 0);
    });

    test("an event of a topic that nobody is subscribed to leaves the outbox and goes nowhere", async () => {
      await data.forTenant(A).transaction((tx) => house.events.forTenant(A).publish(tx, { ...EVENT, topic: "x.orders" }));
      await house.bus.relay();
      assert.equal(await outboxSize(data), 0);
      assert.deepEqual(await deliveriesIn(data), []);
    });

    test("a tenant reads no envelope, not even of its own, and nothing at all of another tenant", async () => {
      await house.publish("b", "user-1");
      const asA = data.forTenant(A);
      for (const statement of [
        sql`select envelope from freehold.outbox`,
        sql`select envelope from freehold.deliveries`,
        sql`select envelope from freehold.dead_letters`,
        sql`select seq from freehold.deliveries`,
        sql`delete from freehold.deliveries`,
        sql`update freehold.deliveries set attempts = 0`,
        sql`delete from freehold.inbox`,
      ]) {
        const fault = await faultOf(asA.query(statement));
        assert.equal(fault.code, "forbidden", statement.text);
        assertNoCanary(fault);
      }
      await house.bus.relay();
      const seen = await asA.query(sql`select event_id, consumer, attempts, due_at, lease, last_error from freehold.deliveries`);
      assert.deepEqual(seen.rows, []);
    });
  });
});
