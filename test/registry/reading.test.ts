import assert from "node:assert/strict";
import { before, describe, test } from "node:test";
import type { DataStore } from "../../src/stores/data/index.ts";
import type { Registry } from "../../src/tenancy/registry/index.ts";
import { createManualClock } from "../support/clock.ts";
import { eachEngine } from "../support/engines.ts";
import { until } from "../support/until.ts";
import { foundIn, freshId, input, openElsewhere, openRegistry, tenantReads, watch, type WatchedSystem } from "./registry-under-test.ts";

const READS_TENANT = /from freehold\.tenants t where t\.id = any/;
const POLLS = /registry_feed/;

describe("the registry", () => {
  eachEngine((engine) => {
    let store: DataStore;
    let writer: Registry;
    let system: WatchedSystem;
    const clock = createManualClock();
    let reader: Registry;

    before(async () => {
      const place = await engine.place();
      store = await place.open();
      writer = await openRegistry(store);
      system = watch((await openElsewhere(place, store)).system);
      reader = await openRegistry(store, { system, clock });
    });

    function reads(): number {
      return tenantReads(system.statements);
    }

    /** Resolves when a poll of the reader that began after this call is done. */
    async function polledAgain(): Promise<void> {
      const begun = (): number => system.statements.filter(({ text }) => POLLS.test(text)).length;
      const count = begun();
      await until("two more polls", () => begun() >= count + 2);
    }

    test("answers from memory what is in use, without a read and without a promise", async () => {
      const id = freshId();
      const made = await writer.create(input(id));
      assert.deepEqual(await reader.find(id), made);
      const count = reads();
      const again = reader.find(id);
      assert.ok(!(again instanceof Promise));
      assert.deepEqual([again, reads()], [made, count]);
    });

    test("reads an id that nobody has at most once per second, and finds it at once when it is made", async () => {
      const id = freshId();
      const count = reads();
      await reader.find(id);
      for (let at = 0; at < 1_000; at++) assert.equal(reader.find(id), undefined);
      assert.equal(reads(), count + 1);
      await writer.create(input(id));
      await until("the tenant elsewhere, with a clock that stands still", () => reader.find(id), 1_000);
    });

    test("reads once for a thousand who ask at the same time", async () => {
      const id = freshId();
      const made = await writer.create(input(id));
      await polledAgain(); // the news of it would rightly have it read once more
      const count = reads();
      const found = await Promise.all(Array.from({ length: 1_000 }, async () => await reader.find(id)));
      assert.equal(reads(), count + 1);
      for (const tenant of found) assert.deepEqual(tenant, made);
    });

    test("reads again what changed while it was being read", async () => {
      const id = freshId();
      await writer.create(input(id));
      const held = system.hold(READS_TENANT);
      const finding = reader.find(id);
      await held.reached; // the rows of before the change are here
      await writer.update(id, { name: "After" });
      await polledAgain();
      held.open();
      assert.equal((await finding)?.name, "After");
      assert.equal((await foundIn(reader, id)).name, "After");
    });

    test("does not remember as unknown what was made while it was being read", async () => {
      const id = freshId();
      const held = system.hold(READS_TENANT);
      const finding = reader.find(id);
      await held.reached;
      await writer.create(input(id));
      await polledAgain();
      held.open();
      assert.equal((await finding)?.id, id);
    });

    test("waits, after a change of its own, for a poll that began after the change", async () => {
      const [first, second] = [freshId(), freshId()];
      await writer.create(input(second));
      await foundIn(reader, second);
      const held = system.hold(POLLS);
      await held.reached; // this poll has read and knows nothing of what follows
      const creating = reader.create(input(first));
      const updating = reader.update(second, { name: "Mine" });
      await until("both changes in the database", async () => {
        const rows = await writer.list(first.slice(0, -1), 1_000);
        const [made, changed] = [rows.find(({ id }) => id === first), await writer.find(second)];
        return made && changed?.name === "Mine";
      });
      held.open();
      assert.equal((await creating).id, first);
      assert.equal((await updating).name, "Mine");
      assert.equal((await foundIn(reader, second)).name, "Mine");
    });

    test("finds every tenant although it holds fewer in memory than there are", async () => {
      const small = await openRegistry(store, { bounds: { tenantsMax: 5, keysMax: 5 } });
      const ids = Array.from({ length: 25 }, () => freshId("many"));
      for (const id of ids) await writer.create(input(id));
      for (let round = 0; round < 2; round++) for (const id of ids) assert.equal((await foundIn(small, id)).id, id);
    });

    test("stops reading when it is closed", async () => {
      const closing = watch(store.system);
      const registry = await openRegistry(store, { system: closing });
      await until("a poll", () => closing.statements.some(({ text }) => POLLS.test(text)));
      await registry.close();
      const count = closing.statements.length;
      await writer.create(input(freshId()));
      await polledAgain();
      assert.equal(closing.statements.length, count);
    });
  });
});
