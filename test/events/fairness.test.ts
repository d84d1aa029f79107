import assert from "node:assert/strict";
import { beforeEach, describe, test } from "node:test";
import { Fault } from "../../src/kernel/index.ts";
import type { DataStore } from "../../src/stores/data/index.ts";
import { eachEngine } from "../support/engines.ts";
import { contextOf } from "../support/tenants.ts";
import { createEventHouse, deliveriesIn, effectsOf, outboxSize, recorder } from "./event-house.ts";

const QUEUED = 5_000;

eachEngine((engine) => {
  describe("between tenants", () => {
    let data: DataStore;
    beforeEach(async () => {
      data = await engine.open();
    });

    test(`${QUEUED} queued events of one tenant that all fail do not hold up another tenant's`, async (t) => {
      const { promise: allOfB, resolve } = Promise.withResolvers<void>();
      const attempts = { a: 0, b: 0 };
      const { consumer } = recorder("recorder", async (_event, { tenant }) => {
        if (tenant.id === "b") {
          attempts.b++;
          if (attempts.b === 20) resolve();
          return;
        }
        attempts.a++;
        throw new Fault("upstream_unreachable", "no model");
      });
      const house = createEventHouse(data, [consumer]);
      const context = contextOf("a");
      for (let n = 0; n < QUEUED; n += 500) {
        await data.forTenant(context).transaction(async (tx) => {
          const events = house.events.forTenant(context);
          for (let i = n; i < n + 500; i++) {
            const key = i % 2 === 0 ? "one" : `k${i}`;
            await events.publish(tx, { topic: "user.events", type: "user.created", key, data: {} });
          }
        });
      }
      const ofB: string[] = [];
      for (let n = 0; n < 20; n++) ofB.push(await house.publish("b", `k${n}`));

      const worker = house.worker({ concurrency: { total: 4, perTenant: 2 } });
      t.after(() => worker.close());
      await worker.start();
      await allOfB;
      const ofA = attempts.a;
      await worker.close();
      assert.deepEqual(await effectsOf(data, "b"), new Map(ofB.map((id) => [id, 1])));
      assert.ok(ofA < QUEUED / 20, `b's 20 events waited for ${ofA} attempts of a`);
    });

    test("one tenant never has more under way than its share, whatever is queued", async () => {
      let most = 0;
      const underWay = new Map<string, number>();
      const { consumer, handled } = recorder("recorder", async (_event, { tenant }) => {
        const now = (underWay.get(tenant.id) ?? 0) + 1;
        underWay.set(tenant.id, now);
        most = Math.max(most, now);
        await new Promise((resolve) => setImmediate(resolve));
        underWay.set(tenant.id, (underWay.get(tenant.id) ?? 1) - 1);
      });
      const house = createEventHouse(data, [consumer, { ...consumer, name: "second" }]);
      for (let n = 0; n < 40; n++) await house.publish("a", `k${n}`);
      await house.worker({ concurrency: { total: 8, perTenant: 3 } }).drain();
      assert.equal(handled.length, 80);
      assert.ok(most <= 3, `${most} at once`);
    });

    test("a claim takes from every tenant in turn, and never more than the bound from one", async () => {
      const { consumer } = recorder();
      const house = createEventHouse(data, [consumer]);
      const tenants = ["t1", "t2", "t3", "t4", "t5"];
      for (let n = 0; n < 10; n++) await house.publish("a", `k${n}`);
      for (const tenant of tenants) for (let n = 0; n < 2; n++) await house.publish(tenant, `k${n}`);
      while ((await house.bus.relay()) > 0);
      const uuids = new Map(["a", ...tenants].map((id) => [contextOf(id).tenant.uuid, id]));
      const counts: Record<string, number> = {};
      for (let i = 0; i < 6; i++) {
        const claimed = await house.bus.claim("recorder", { limit: 2, perTenantMax: 2, underWay: new Map(), leaseMs: 60_000 });
        for (const { tenantUuid } of claimed) {
          const id = uuids.get(tenantUuid) ?? "?";
          counts[id] = (counts[id] ?? 0) + 1;
        }
      }
      assert.deepEqual(counts, { a: 2, t1: 2, t2: 2, t3: 2, t4: 2, t5: 2 });
      const busy = new Map([[contextOf("a").tenant.uuid, 2]]);
      assert.deepEqual(await house.bus.claim("recorder", { limit: 9, perTenantMax: 2, underWay: busy, leaseMs: 60_000 }), []);
      const more = await house.bus.claim("recorder", { limit: 9, perTenantMax: 3, underWay: busy, leaseMs: 60_000 });
      assert.equal(more.length, 1);
    });

    test("the outbox is emptied in turn too", async () => {
      const { consumer } = recorder();
      const house = createEventHouse(data, [consumer]);
      const context = contextOf("a");
      await data.forTenant(context).transaction(async (tx) => {
        const events = house.events.forTenant(context);
        for (let n = 0; n < 700; n++) {
          await events.publish(tx, { topic: "user.events", type: "user.created", key: `k${n % 7}`, data: { n } });
        }
      });
      const ofB = await house.publish("b", "k");
      await house.bus.relay();
      assert.ok((await deliveriesIn(data)).some(({ event_id }) => event_id === ofB));
      assert.ok((await outboxSize(data)) > 0, "a's rows are still there");
      while ((await house.bus.relay()) > 0);
      assert.equal(await outboxSize(data), 0);
      const rows = await deliveriesIn(data);
      assert.equal(rows.length, 701);
      assert.equal(rows.filter(({ due }) => due).length, 8, "the oldest of each key is due, and no other");
    });
  });
});
