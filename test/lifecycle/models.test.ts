import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { Tenant } from "../../src/kernel/index.ts";
import { eachEngine, temporaryFolder } from "../support/engines.ts";
import { until } from "../support/until.ts";
import { BY, exportOf, filledTenant, freshId, importInto, install, type Installed, recordsIn } from "./lifecycle-under-test.ts";

eachEngine((engine) => {
  describe("a tenant with a schema of its own", () => {
    let installed: Installed;
    let moved: Tenant;
    let was: Awaited<ReturnType<typeof recordsIn>>;

    before(async () => {
      installed = await install(await engine.open(), temporaryFolder());
      moved = await filledTenant(installed, freshId("moved"), "a");
      was = await recordsIn(installed, await exportOf(installed, moved));
      await installed.store.homes.move(moved, "schema");
      assert.equal(installed.store.homes.modelOf(moved), "schema");
    });
    after(() => installed.close());

    test("leaves an archive of which a tenant in shared rows can be made, equal in everything", async () => {
      const again = await importInto(installed, await exportOf(installed, moved), freshId("again"));
      assert.equal(installed.store.homes.modelOf(again), "row");
      assert.deepEqual(await recordsIn(installed, await exportOf(installed, again)), was);
    });

    test("can be made of an archive of one in shared rows", async () => {
      const rows = await filledTenant(installed, freshId("rows"), "a");
      const own = await importInto(installed, await exportOf(installed, rows), freshId("own"), "enterprise");
      assert.equal(installed.store.homes.modelOf(own), "schema");
      const kept = await installed.registry.update(own.id, { agent: { mcp: { one: "xoxb-1" } } });
      assert.equal(
        (await installed.registry.secret(kept, "agent.mcp.one"))?.reveal(),
        "xoxb-1",
        "its keys were not erased with an earlier try",
      );
      const back = await importInto(installed, await exportOf(installed, own), freshId("back"));
      assert.deepEqual(
        await recordsIn(installed, await exportOf(installed, back)),
        await recordsIn(installed, await exportOf(installed, rows)),
      );
    });

    test("is erased with its schema, and no store holds anything of it", async () => {
      await installed.lifecycle.erase(moved, { export: false }, BY);
      await until("the erasure", async () => (await installed.lifecycle.newest(moved))?.state === "done");
      for (const store of installed.stores) assert.deepEqual(await store.remains(moved), [], store.name);
      assert.equal(installed.store.homes.modelOf(moved), "row", "nothing says any more that it had a home");
    });
  });
});
