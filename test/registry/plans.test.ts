import assert from "node:assert/strict";
import { before, describe, test } from "node:test";
import type { DataStore } from "../../src/stores/data/index.ts";
import type { Plan, Registry } from "../../src/tenancy/registry/index.ts";
import { eachEngine } from "../support/engines.ts";
import { until } from "../support/until.ts";
import { foundIn, freshId, input, openElsewhere, openRegistry } from "./registry-under-test.ts";

function planOf(registry: Registry, name: string): Plan {
  const plan = registry.plans().find((each) => each.name === name);
  assert.ok(plan, `no plan ${name}`);
  return plan;
}

describe("plans", () => {
  eachEngine((engine) => {
    let registry: Registry;
    let elsewhere: Registry;
    let store: DataStore;

    before(async () => {
      const place = await engine.place();
      store = await place.open();
      registry = await openRegistry(store);
      elsewhere = await openRegistry(await openElsewhere(place, store));
    });

    test("are three to begin with", () => {
      assert.deepEqual(
        registry.plans().map(({ name, isolationLevel }) => [name, isolationLevel]),
        [
          ["enterprise", "dedicated"],
          ["professional", "shared"],
          ["starter", "shared"],
        ],
      );
    });

    test("reach all their tenants when they change, here at once and elsewhere within a second, and no tenant of another plan", async () => {
      const name = `plan-${freshId()}`;
      await registry.putPlan({ ...planOf(registry, "starter"), name });
      const [first, second, own, other] = [freshId(), freshId(), freshId(), freshId()];
      for (const id of [first, second]) await registry.create(input(id, { plan: name }));
      await registry.create(input(own, { plan: name, quotas: { maxUsers: 3 } }));
      const untouched = await registry.create(input(other));
      for (const id of [first, second, own, other]) await elsewhere.find(id);

      const changed = { ...planOf(registry, name), features: ["beta_search"] };
      await registry.putPlan({ ...changed, quotas: { ...changed.quotas, maxUsers: 77 } });
      for (const id of [first, second]) {
        assert.deepEqual([(await foundIn(registry, id)).quotas.maxUsers, (await foundIn(registry, id)).features], [77, ["beta_search"]]);
      }
      assert.equal((await foundIn(registry, own)).quotas.maxUsers, 3);
      assert.equal(registry.find(other), untouched);
      for (const id of [first, second]) {
        await until("the changed plan elsewhere", async () => (await foundIn(elsewhere, id)).quotas.maxUsers === 77 || undefined, 1_000);
      }
      assert.deepEqual((await foundIn(elsewhere, own)).features, ["beta_search"]);
    });

    test("that another process has just made are known with the first tenant on them", async () => {
      const name = `plan-${freshId()}`;
      const id = freshId();
      await registry.putPlan({ ...planOf(registry, "starter"), name, rate: { requestsPerSecond: 7, burst: 7 } });
      await registry.create(input(id, { plan: name }));
      assert.equal((await foundIn(elsewhere, id)).rate.burst, 7);
    });

    test("change for a tenant that is moved to another one", async () => {
      const id = freshId();
      await registry.create(input(id));
      const moved = await registry.update(id, { plan: "enterprise" });
      assert.deepEqual([moved.plan, moved.isolationLevel, moved.version], ["enterprise", "dedicated", 2]);
      assert.deepEqual(moved.quotas, planOf(registry, "enterprise").quotas);
    });

    test("that the operator changed are not put back by a start", async () => {
      const changed = { ...planOf(registry, "professional"), rate: { requestsPerSecond: 1, burst: 2 } };
      await registry.putPlan(changed);
      assert.deepEqual(planOf(await openRegistry(store), "professional"), changed);
    });
  });
});
