import assert from "node:assert/strict";
import { before, describe, test } from "node:test";
import type { DataStore } from "../../src/stores/data/index.ts";
import { eachEngine } from "../support/engines.ts";
import { until } from "../support/until.ts";
import { createEventHouse, type EventHouse, recorder } from "./event-house.ts";

eachEngine((engine) => {
  describe("waking", () => {
    let data: DataStore;
    let house: EventHouse;
    let woken = 0;
    before(async () => {
      data = await engine.open();
      house = createEventHouse(data, [recorder().consumer]);
      await house.bus.wake(() => woken++);
    });

    test("a published event wakes whoever listens", async () => {
      await house.publish("a", "u1");
      await until("being woken", () => woken > 0);
      await house.worker().drain();
    });

    test("looking for work where there is none wakes nobody: an idle process stays idle", async () => {
      // what the drain itself sent arrives before the notification of the next event, which is behind it in the queue
      await house.publish("a", "u2");
      await house.worker().drain();
      const seen = woken;
      for (let n = 0; n < 20; n++) assert.equal(await house.bus.relay(), 0);
      await house.publish("a", "u3");
      await until("being woken by the new event", () => woken > seen);
      assert.ok(woken - seen <= 3, `woken ${woken - seen} times by one event`);
    });
  });
});
