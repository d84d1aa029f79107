import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import { Fault } from "../../src/kernel/index.ts";
import { type DataStore, sql } from "../../src/stores/data/index.ts";
import { createEngine } from "../support/engines.ts";
import { contextOf } from "../support/tenants.ts";
import { createEventHouse, deliveriesIn, effectsOf, lettersIn, outboxSize, passTime, recorder } from "./event-house.ts";

const EVENTS = 1_000;
const KEYS = 20;

/** Several processes on one database: each store has connections of its own. */
describe("workers on PostgreSQL at once", () => {
  const engine = createEngine("PostgreSQL");
  after(() => engine.close());

  test(`of ${EVENTS} events each has its effect once, and those of one key in their order`, async (t) => {
    const place = await engine.place();
    const order = new Map<string, number[]>();
    let calls = 0;
    const { promise: all, resolve } = Promise.withResolvers<void>();
    const { consumer } = recorder("recorder", async ({ key, data: { n } }, { tenant }) => {
      const lane = `${tenant.id} ${key}`;
      order.set(lane, [...(order.get(lane) ?? []), Number(n)]);
      calls++;
      if (calls === EVENTS) resolve();
    });
    const stores: DataStore[] = [];
    for (let i = 0; i < 3; i++) stores.push(await place.open());
    const houses = stores.map((data) => createEventHouse(data, [consumer]));
    const [first] = houses;
    assert.ok(first);
    const workers = houses.map((house) => house.worker());
    for (const worker of workers) {
      t.after(() => worker.close());
      await worker.start();
    }

    // each key has one publisher, which knows the order
    const publishers = Array.from({ length: KEYS }, async (_, lane) => {
      const house = houses[lane % houses.length] ?? first;
      for (let n = 0; n < EVENTS / KEYS; n++) await house.publish(lane % 2 === 0 ? "a" : "b", `k${lane}`, { n });
    });
    await Promise.all(publishers);
    await all;
    for (const worker of workers) await worker.close();

    const effects = [...(await effectsOf(first.data, "a")), ...(await effectsOf(first.data, "b"))];
    assert.equal(effects.length, EVENTS);
    assert.ok(effects.every(([, count]) => count === 1));
    assert.equal(order.size, KEYS);
    for (const numbers of order.values())
      assert.deepEqual(
        numbers,
        Array.from({ length: EVENTS / KEYS }, (_, n) => n),
      );
    assert.deepEqual([await deliveriesIn(first.data), await lettersIn(first.data), await outboxSize(first.data)], [[], [], 0]);
    assert.deepEqual(
      houses.flatMap(({ faults }) => faults),
      [],
    );
  });

  test("events that were claimed twice have their effect once", async () => {
    const place = await engine.place();
    const stores = [await place.open(), await place.open()];
    const { consumer, handled } = recorder();
    const houses = stores.map((data) => createEventHouse(data, [consumer]));
    const [one, two] = houses;
    assert.ok(one && two);
    const ids: string[] = [];
    for (let n = 0; n < 200; n++) ids.push(await one.publish("a", `k${n}`));
    // every lease is over as soon as it is given: both workers claim everything they can, again and again
    const greedy = houses.map((house) =>
      house.worker({ bus: { ...house.bus, claim: (name, bounds) => house.bus.claim(name, { ...bounds, leaseMs: 0 }) } }),
    );
    await Promise.all(greedy.map((worker) => worker.drain()));
    for (const { event_id } of await lettersIn(one.data)) await one.bus.redrive(contextOf("a").tenant.uuid, consumer.name, event_id);
    await passTime(one.data);
    await one.worker().drain();
    // whether an effect had happened before its event was put aside or not
    assert.deepEqual(await effectsOf(one.data, "a"), new Map(ids.map((id) => [id, 1])));
    assert.ok(handled.length >= ids.length);
    assert.deepEqual(await deliveriesIn(one.data), []);
  });

  test("a key that goes empty while another process adds to it is never stuck", async () => {
    const place = await engine.place();
    const stores = [await place.open(), await place.open()];
    const { consumer, handled } = recorder();
    const [publisher, handler] = stores.map((data) => createEventHouse(data, [consumer]));
    assert.ok(publisher && handler);
    const worker = handler.worker();
    const relay = publisher.worker({ consumers: [] });
    const added = Promise.withResolvers<void>();
    // one process puts events behind the one that the other is just removing
    const removing = (async () => {
      for (let over = false; !over;) {
        over = await Promise.race([added.promise.then(() => true), worker.drain().then(() => false)]);
      }
    })();
    for (let n = 0; n < 300; n++) {
      await publisher.publish("a", "one", { n });
      await relay.drain();
    }
    added.resolve();
    await removing;
    await worker.drain();
    assert.deepEqual(
      handled.map(({ event }) => event.data.n),
      Array.from({ length: 300 }, (_, n) => n),
    );
  });

  test("an event that is put behind another while that one is being settled is due afterwards", async () => {
    const data = await (await engine.place()).open();
    const { consumer, handled } = recorder();
    const house = createEventHouse(data, [consumer]);
    const { uuid } = contextOf("a").tenant;
    const [first, second] = [await house.publish("a", "one"), await house.publish("a", "one")];
    await house.bus.relay();
    const [claimed] = await house.bus.claim(consumer.name, { limit: 1, perTenantMax: 1, underWay: new Map(), leaseMs: 60_000 });
    assert.equal(claimed?.eventId, first);
    const { rows } = await data.system.query<{ seq: number; envelope: string }>(
      sql`delete from freehold.deliveries where event_id = ${second} returning seq, envelope`,
    );
    const row = rows[0];
    assert.ok(row);
    await Promise.all([sql`select 1`, sql`select 2`].map((statement) => data.system.query(statement))); // both connections are open
    let settling: Promise<boolean> | undefined;
    await data.system.transaction(async (tx) => {
      await tx.query(sql`insert into freehold.deliveries (tenant_id, consumer, event_id, seq, partition_key, envelope)
        values (${uuid}, ${consumer.name}, ${second}, ${row.seq}, 'one', ${row.envelope})`);
      settling = house.bus.settle(claimed, { kind: "done" });
      for (let i = 0; i < 50; i++) await tx.query(sql`select 1`); // the other connection has got to where it waits
    });
    assert.equal(await settling, true);
    await house.worker().drain();
    assert.deepEqual(
      handled.map(({ event }) => event.id),
      [second],
    );
  });

  test("the database's clock alone says when a delivery is due", async () => {
    const place = await engine.place();
    const data = await place.open();
    const { consumer, handled } = recorder("recorder", async () => {
      if (handled.length === 0 && tries++ === 0) throw new Fault("upstream_unreachable", "no model");
    });
    let tries = 0;
    const house = createEventHouse(data, [consumer]);
    await house.publish("a", "k");
    const ahead = { now: () => Date.now() + 3_600_000, monotonic: () => performance.now() + 3_600_000 };
    const worker = house.worker({ clock: ahead, random: { bytes: (size) => Buffer.alloc(size, 0xff) } });
    await worker.drain();
    await worker.drain();
    assert.equal(tries, 1, "an hour on the process's clock makes nothing due");
  });
});
