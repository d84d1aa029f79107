import assert from "node:assert/strict";
import { test } from "node:test";
import { createPostgresBus, endSubscriptions } from "../../src/stores/events/index.ts";
import { eachEngine } from "../support/engines.ts";
import { createEventHouse, deliveriesIn, outboxSize, recorder } from "./event-house.ts";

/** Programs with different consumers over one database: an application's worker beside a gateway's. */
eachEngine((engine) => {
  test("an event reaches the consumers of every program, whichever of them moves it out of the outbox", async () => {
    const data = await engine.open();
    const [one, two] = [recorder("one"), recorder("two")];
    const [first, second] = [createEventHouse(data, [one.consumer]), createEventHouse(data, [two.consumer])];
    await first.bus.relay(); // from here on both are subscribed
    await second.bus.relay();
    await first.publish("a", "u1");
    await first.worker().drain();
    assert.equal(await outboxSize(data), 0);
    assert.deepEqual([one.handled.length, two.handled.length], [1, 0]);
    await second.worker().drain();
    assert.deepEqual([one.handled.length, two.handled.length], [1, 1]);
  });

  test("a consumer that is not running keeps its subscription, and gets what came meanwhile", async () => {
    const data = await engine.open();
    const { consumer, handled } = recorder("sleeper");
    await createEventHouse(data, [consumer]).bus.relay();
    const other = createEventHouse(data, []);
    await other.publish("a", "u1");
    await other.worker().drain();
    assert.equal(handled.length, 0);
    await createEventHouse(data, [consumer]).worker().drain();
    assert.equal(handled.length, 1);
  });

  test("topics that a consumer no longer names end with its next start, and everything when it is removed", async () => {
    const data = await engine.open();
    const { consumer } = recorder("changing");
    await createEventHouse(data, [consumer]).bus.relay();
    await createPostgresBus(data, [{ name: "changing", topics: ["document.events"] }]).relay();
    const other = createEventHouse(data, []);
    await other.publish("a", "u1");
    await other.bus.relay();
    assert.deepEqual(await deliveriesIn(data), []);

    await createEventHouse(data, [consumer]).bus.relay();
    await other.publish("a", "u2");
    await other.bus.relay();
    assert.equal((await deliveriesIn(data)).length, 1);
    await endSubscriptions(data, "changing");
    await other.publish("a", "u3");
    await other.bus.relay();
    assert.deepEqual(await deliveriesIn(data), []);
  });
});
