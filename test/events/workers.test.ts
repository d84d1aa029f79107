import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import { Fault } from "../../src/kernel/index.ts";
import { type DataStore, sql } from "../../src/stores/data/index.ts";
import { createEngine } from "../support/engines.ts";
import { createEventHouse, deliveriesIn, effectsOf, lettersIn, outboxSize, recorder } from "./event-house.ts";

const EVENTS = 1_000;
const KEYS = 20;

/** Several processes on one database: each store has connections of its own. */
describe("workers on PostgreSQL at once", () => {
  const engine = createEngine("PostgreSQL");
  after(() => engine.close());

  test(`of ${EVENTS} events each has its effect once, and those of one key in their order`, async () => {
    const place = await engine.place();
    const order = new Map<string, number[]>();
    const { promise: all, resolve } = Promise.withResolvers<void>();
    const { consumer, handled } = recorder("recorder", async ({ key, data: { n } }, { tenant }) => {
      const lane = `${tenant.id} ${key}`;
      order.set(lane, [...(order.get(lane) ?? []), Number(n)]);
      await Promise.resolve();
      if (handled.length >= EVENTS - 1) resolve();
    });
    const stores: DataStore[] = [];
    for (let i = 0; i < 3; i++) stores.push(await place.open());
    const houses = stores.map((data) => createEventHouse(data, [consumer]));
    const [first] = houses;
    assert.ok(first);
    const workers = houses.map((house) => house.worker());
    for (const worker of workers) await worker.start();

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
    for (let n = 0; n < 200; n++) await one.publish("a", `k${n}`);
    // every lease is over as soon as it is given: both workers claim everything they can, again and again
    const greedy = houses.map((house) =>
      house.worker({ bus: { ...house.bus, claim: (name, bounds) => house.bus.claim(name, { ...bounds, leaseMs: 0 }) } }),
    );
    await Promise.all(greedy.map((worker) => worker.drain()));
    await one.data.system.query(sql`update freehold.deliveries set due_at = now()`);
    const { rows } = await one.data.system.query<{ dead: number }>(sql`select count(*) as dead from freehold.dead_letters`);
    await one.worker().drain();
    const effects = await effectsOf(one.data, "a");
    assert.ok([...effects.values()].every((count) => count === 1));
    // what was claimed more often than it is tried was put aside, whether or not its effect had happened
    assert.ok(effects.size + Number(rows[0]?.dead) >= 200);
    assert.ok(handled.length >= effects.size);
  });

  test("a key that goes empty while another process adds to it is never stuck", async () => {
    const place = await engine.place();
    const stores = [await place.open(), await place.open()];
    const { consumer, handled } = recorder();
    const [publisher, handler] = stores.map((data) => createEventHouse(data, [consumer]));
    assert.ok(publisher && handler);
    const worker = handler.worker();
    const relays = publisher.worker({ consumers: [] });
    for (let n = 0; n < 200; n++) {
      await publisher.publish("a", "one", { n });
      // one process puts the event behind what the other is just removing
      await Promise.all([relays.drain(), worker.drain()]);
    }
    await worker.drain();
    assert.deepEqual(
      handled.map(({ event }) => event.data.n),
      Array.from({ length: 200 }, (_, n) => n),
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
