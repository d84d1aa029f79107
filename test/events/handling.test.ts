import assert from "node:assert/strict";
import { beforeEach, describe, test } from "node:test";
import { Fault } from "../../src/kernel/index.ts";
import { type DataStore, sql } from "../../src/stores/data/index.ts";
import type { EventBus, EventConsumer } from "../../src/stores/events/index.ts";
import { eachEngine } from "../support/engines.ts";
import { contextOf } from "../support/tenants.ts";
import { createEventHouse, deliveriesIn, effectsOf, lettersIn, passTime, recorder } from "./event-house.ts";

/** The same bus, on which what was handled is not settled: as when a process ends between the two. */
const neverSettling = (bus: EventBus): EventBus => ({ ...bus, settle: async () => false });

eachEngine((engine) => {
  describe("handling", () => {
    let data: DataStore;
    beforeEach(async () => {
      data = await engine.open();
    });

    test("the effect happens once although the event is delivered again", async () => {
      const { consumer, handled } = recorder();
      const house = createEventHouse(data, [consumer]);
      const id = await house.publish("a", "user-1");
      for (let i = 0; i < 3; i++) {
        await house.worker({ bus: neverSettling(house.bus) }).drain();
        await passTime(data);
      }
      await house.worker().drain();
      assert.equal(handled.length, 4);
      assert.deepEqual(await effectsOf(data, "a"), new Map([[id, 1]]));
      assert.deepEqual(await deliveriesIn(data), []);
    });

    test("each consumer has the effect of an event once, whatever the others do", async () => {
      const first = recorder("first");
      const second = recorder("second", async () => {
        throw new Fault("upstream_unreachable", "no model");
      });
      const house = createEventHouse(data, [first.consumer, second.consumer]);
      const id = await house.publish("a", "user-1");
      await house.worker().drain();
      assert.deepEqual(await effectsOf(data, "a"), new Map([[id, 1]]));
      assert.deepEqual(
        (await lettersIn(data)).map(({ reason }) => reason),
        ["upstream_unreachable"],
      );
    });

    test("an effect that fails leaves nothing of itself, and is tried 8 times", async () => {
      let tries = 0;
      const consumer: EventConsumer = {
        name: "failing",
        topics: ["user.events"],
        handle:
          async (event, { tenant }) =>
          async (tx) => {
            tries++;
            await tx.query(sql`insert into freehold.documents (tenant_id, id, title, body, created_by)
            values (${tenant.uuid}, ${event.id}, 'half', 'done', 'event')`);
            throw new Fault("conflict", "it cannot be");
          },
      };
      const house = createEventHouse(data, [consumer]);
      const id = await house.publish("a", "user-1");
      const [envelope] = await envelopesIn(data);
      await house.worker().drain();
      assert.equal(tries, 8);
      assert.deepEqual(await effectsOf(data, "a"), new Map());
      assert.deepEqual(await deliveriesIn(data), []);
      const uuid = contextOf("a").tenant.uuid;
      assert.deepEqual(await lettersIn(data), [{ tenant_id: uuid, event_id: id, envelope, attempts: 8, reason: "conflict" }]);
      assert.equal(house.faults.length, 8);
    });

    test("between attempts an event waits, and only a short code is kept of why it failed", async () => {
      const { consumer } = recorder("failing", async () => {
        throw new Error("a text with somebody's data");
      });
      const house = createEventHouse(data, [consumer]);
      await house.publish("a", "user-1");
      const slow = { bytes: (size: number) => Buffer.alloc(size, 0xff) };
      await house.worker({ random: slow }).drain();
      const [row] = await deliveriesIn(data);
      assert.ok(row);
      assert.deepEqual({ attempts: row.attempts, due: row.due, error: row.last_error }, { attempts: 1, due: false, error: "internal" });
    });

    test("an event that ends its process every time is put aside after 8 attempts, without being handled again", async () => {
      const { consumer, handled } = recorder();
      const house = createEventHouse(data, [consumer]);
      await house.publish("a", "user-1");
      await house.bus.relay();
      for (let i = 0; i < 8; i++) {
        await house.bus.claim(consumer.name, { limit: 1, perTenantMax: 1, underWay: new Map(), leaseMs: 60_000 });
        await passTime(data);
      }
      await house.worker().drain();
      assert.equal(handled.length, 0);
      assert.deepEqual(
        (await lettersIn(data)).map(({ reason }) => reason),
        ["lease_expired"],
      );
    });

    test("a handler that does not end is told to stop, and what it gives later is not used", async () => {
      const signals: AbortSignal[] = [];
      const { promise: later, resolve: giveLater } = Promise.withResolvers<void>();
      let late = true;
      const { consumer } = recorder();
      const slow: EventConsumer = {
        ...consumer,
        async handle(event, context, signal) {
          if (late) {
            signals.push(signal);
            await later;
          }
          return await consumer.handle(event, context, signal);
        },
      };
      const house = createEventHouse(data, [slow]);
      const id = await house.publish("a", "user-1");
      await house.worker({ handlerTimeoutMs: 10, random: { bytes: (size) => Buffer.alloc(size, 0xff) } }).drain();
      assert.deepEqual(
        signals.map(({ aborted }) => aborted),
        [true],
      );
      giveLater();
      assert.deepEqual(await effectsOf(data, "a"), new Map());
      late = false;
      await passTime(data);
      await house.worker().drain();
      assert.deepEqual(await effectsOf(data, "a"), new Map([[id, 1]]));
    });

    test("a zombie whose delivery was claimed by another has no effect and settles nothing", async () => {
      const { promise: asleep, resolve: wakeUp } = Promise.withResolvers<void>();
      const { promise: entered, resolve: enter } = Promise.withResolvers<void>();
      const zombie = recorder("recorder", async () => {
        enter();
        await asleep;
      });
      const other = recorder();
      const house = createEventHouse(data, [other.consumer]);
      const first = await house.publish("a", "user-1");
      const sleeping = house.worker({ consumers: [zombie.consumer] }).drain();
      await entered;
      await passTime(data);
      const [claimed] = await house.bus.claim("recorder", { limit: 1, perTenantMax: 1, underWay: new Map(), leaseMs: 60_000 });
      wakeUp();
      await sleeping;
      assert.equal(claimed?.eventId, first);
      assert.deepEqual(await effectsOf(data, "a"), new Map(), "the zombie's effect did not happen");
      assert.equal((await deliveriesIn(data)).length, 1, "the zombie did not settle it");
      await passTime(data);
      await house.worker().drain();
      assert.deepEqual(await effectsOf(data, "a"), new Map([[first, 1]]));
    });

    test("a claim that is held on to is nobody else's, and one that was lost cannot be", async () => {
      const { consumer } = recorder();
      const house = createEventHouse(data, [consumer]);
      await house.publish("a", "user-1");
      await house.bus.relay();
      const bounds = { limit: 1, perTenantMax: 1, underWay: new Map<string, number>(), leaseMs: 60_000 };
      const first = await house.bus.claim(consumer.name, bounds);
      await passTime(data);
      await house.bus.extend(first, 60_000);
      assert.deepEqual(await house.bus.claim(consumer.name, bounds), []);
      await passTime(data);
      const second = await house.bus.claim(consumer.name, bounds);
      await passTime(data);
      await house.bus.extend(first, 60_000);
      const third = await house.bus.claim(consumer.name, bounds);
      assert.deepEqual([first.length, second.length, third.length], [1, 1, 1]);
    });

    test("a delivery is settled only by who claimed it last", async () => {
      const { consumer } = recorder();
      const house = createEventHouse(data, [consumer]);
      await house.publish("a", "user-1");
      await house.bus.relay();
      const bounds = { limit: 1, perTenantMax: 1, underWay: new Map<string, number>(), leaseMs: 60_000 };
      const [first] = await house.bus.claim(consumer.name, bounds);
      assert.deepEqual(await house.bus.claim(consumer.name, bounds), []);
      await passTime(data);
      const [second] = await house.bus.claim(consumer.name, bounds);
      assert.ok(first && second);
      for (const outcome of [
        { kind: "done" },
        { kind: "retry", delayMs: 0, error: "internal" },
        { kind: "park", delayMs: 0, reason: "tenant_suspended" },
        { kind: "dead", reason: "internal" },
      ] as const) {
        assert.equal(await house.bus.settle(first, outcome), false, outcome.kind);
      }
      assert.equal((await lettersIn(data)).length, 0);
      assert.equal(await house.bus.settle(second, { kind: "done" }), true);
      assert.deepEqual(await deliveriesIn(data), []);
    });

    test("a dead letter is sent again whole, with its attempts counted anew, and once", async () => {
      let broken = true;
      const { consumer } = recorder("recorder", async () => {
        if (broken) throw new Fault("upstream_unreachable", "no model");
      });
      const house = createEventHouse(data, [consumer]);
      const worker = house.worker();
      const id = await house.publish("a", "user-1");
      await worker.drain();
      assert.deepEqual(await worker.lag(), { pending: 0, oldestMs: 0, deadLetters: 1 });
      const { uuid } = contextOf("a").tenant;
      broken = false;
      assert.equal(await worker.redrive(contextOf("b").tenant.uuid, consumer.name, id), false, "not as another tenant's");
      assert.equal(await worker.redrive(uuid, "somebody", id), false);
      assert.equal(await worker.redrive(uuid, consumer.name, id), true);
      assert.equal(await worker.redrive(uuid, consumer.name, id), false);
      await worker.drain();
      assert.deepEqual(await effectsOf(data, "a"), new Map([[id, 1]]));
      assert.deepEqual(await worker.lag(), { pending: 0, oldestMs: 0, deadLetters: 0 });
    });

    test("events of one key are handled in their order, also when one of them fails for a while; other keys do not wait", async () => {
      const failures = new Map([["k1-2", 3]]);
      const { consumer, handled } = recorder("recorder", async ({ data: { n }, key }) => {
        const left = failures.get(`${key}-${Number(n)}`) ?? 0;
        failures.set(`${key}-${Number(n)}`, left - 1);
        if (left > 0) throw new Fault("upstream_unreachable", "no model");
      });
      const house = createEventHouse(data, [consumer]);
      const slow = { bytes: (size: number) => Buffer.alloc(size, 0xff) };
      for (let n = 0; n < 6; n++) for (const key of ["k1", "k2", "k3"]) await house.publish("a", key, { n });
      const worker = house.worker({ random: slow });
      await worker.drain();
      const ofKey = (key: string): unknown[] => handled.filter(({ event }) => event.key === key).map(({ event }) => event.data.n);
      assert.deepEqual(ofKey("k1"), [0, 1]);
      assert.deepEqual(ofKey("k2"), [0, 1, 2, 3, 4, 5]);
      assert.deepEqual(ofKey("k3"), [0, 1, 2, 3, 4, 5]);
      for (let i = 0; i < 3; i++) {
        await passTime(data);
        await worker.drain();
      }
      assert.deepEqual(ofKey("k1"), [0, 1, 2, 3, 4, 5]);
    });

    test("events published in one transaction keep their order", async () => {
      const { consumer, handled } = recorder();
      const house = createEventHouse(data, [consumer]);
      const context = contextOf("a");
      await data.forTenant(context).transaction(async (tx) => {
        const events = house.events.forTenant(context);
        for (let n = 0; n < 50; n++) await events.publish(tx, { topic: "user.events", type: "user.changed", key: "k", data: { n } });
      });
      await house.worker().drain();
      assert.deepEqual(
        handled.map(({ event }) => event.data.n),
        Array.from({ length: 50 }, (_, n) => n),
      );
    });

    test("a worker that is started handles what is published, and ends when it is closed", async (t) => {
      const { promise: ten, resolve } = Promise.withResolvers<void>();
      let calls = 0;
      const { consumer, handled } = recorder("recorder", async () => {
        calls++;
        if (calls === 10) resolve();
      });
      const house = createEventHouse(data, [consumer]);
      const worker = house.worker();
      t.after(() => worker.close());
      await worker.start();
      for (let n = 0; n < 10; n++) await house.publish("a", `k${n}`);
      await ten;
      await worker.close();
      assert.equal((await effectsOf(data, "a")).size, 10);
      await house.publish("a", "later");
      await worker.drain();
      assert.equal(handled.length, 10, "nothing is taken on after close");
      assert.deepEqual(house.faults, []);
    });

    test("what was handled is remembered for 14 days, and for as long as it could be delivered again", async () => {
      const { consumer } = recorder();
      const house = createEventHouse(data, [consumer]);
      const { uuid } = contextOf("a").tenant;
      const [old, young, pending] = [await house.publish("a", "1"), await house.publish("a", "2"), await house.publish("a", "3")];
      await house.worker({ bus: neverSettling(house.bus) }).drain();
      await data.system.query(sql`delete from freehold.deliveries where event_id <> ${pending}`);
      await age(data, [old, pending]);
      const worker = house.worker({ bus: { ...house.bus, claim: async () => [] } });
      await worker.start();
      await worker.close();
      const { rows } = await data
        .forTenant(contextOf("a"))
        .query<{ id: string }>(sql`select event_id as id from freehold.inbox where tenant_id = ${uuid} order by event_id`);
      assert.deepEqual(new Set(rows.map(({ id }) => id)), new Set([young, pending]));
    });
  });
});

async function envelopesIn(data: DataStore): Promise<string[]> {
  const { rows } = await data.system.query<{ envelope: string }>(sql`select envelope from freehold.outbox order by seq`);
  return rows.map(({ envelope }) => envelope);
}

/** Makes it as if these had been handled long ago. */
async function age(data: DataStore, ids: readonly string[]): Promise<void> {
  const tenant = data.forTenant(contextOf("a"));
  for (const id of ids) {
    await data.system.query(sql`delete from freehold.inbox where event_id = ${id}`);
    await tenant.query(sql`insert into freehold.inbox (tenant_id, consumer, event_id, handled_at)
      values (${contextOf("a").tenant.uuid}, 'recorder', ${id}, now() - interval '15 days')`);
  }
}
