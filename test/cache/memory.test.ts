import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { systemClock } from "../../src/kernel/index.ts";
import { createMemoryCache } from "../../src/stores/cache/index.ts";
import { contextOf } from "../support/tenants.ts";
import { openMemoryCache } from "./cache-under-test.ts";

const MINUTE_MS = 60_000;

describe("values in memory", () => {
  test("of a tenant within its equal part are not pushed out by another, however much that one stores", async () => {
    const [tenants, bytesMax] = [10, 1_000_000];
    const cache = await openMemoryCache({ bytesMax });
    const quiet = Array.from({ length: tenants - 1 }, (_, at) => cache.forTenant(contextOf(`quiet-${at}`)));
    for (const [at, each] of quiet.entries()) for (let n = 0; n < 20; n++) await each.set([String(n)], "q".repeat(100 * at), MINUTE_MS);
    const loud = cache.forTenant(contextOf("loud"));
    for (let n = 0; n < 2_000; n++) await loud.set([String(n)], "x".repeat(1_000), MINUTE_MS);
    for (const [at, each] of quiet.entries()) {
      for (let n = 0; n < 20; n++) assert.equal(await each.get([String(n)]), "q".repeat(100 * at), `tenant ${at}, value ${n}`);
    }
    assert.equal(await loud.get(["1999"]), "x".repeat(1_000));
    assert.equal(await loud.get(["0"]), undefined);
  });

  test("never take more than the bounds, in all and per tenant, and are counted to the byte", async () => {
    const step = fc.record({
      tenant: fc.constantFrom("a", "b", "c"),
      key: fc.constantFrom("1", "2", "3", "4", "5", "6"),
      size: fc.nat(3_000),
      what: fc.constantFrom("store", "store", "store", "remove", "clear", "lookup"),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 80 }), async (steps) => {
        const bounds = { bytesMax: 9_000, bytesPerTenantMax: 5_000 };
        const engine = createMemoryCache(bounds, systemClock);
        for (const { tenant, key, size, what } of steps) {
          if (what === "store") await engine.store(tenant, key, Buffer.alloc(size), MINUTE_MS);
          else if (what === "remove") await engine.remove(tenant, key);
          else if (what === "clear") await engine.clear(tenant);
          else await engine.lookup(tenant, key);
          let sum = 0;
          for (const each of ["a", "b", "c"]) {
            const { items, bytes } = await engine.measure(each);
            let [found, stored] = [0, 0];
            for (const digest of ["1", "2", "3", "4", "5", "6"]) {
              const value = (await engine.lookup(each, digest))?.stored;
              if (!value) continue;
              found++;
              stored += value.length + 400;
            }
            assert.deepEqual([found, stored], [items, bytes]);
            assert.ok(bytes <= bounds.bytesPerTenantMax);
            sum += bytes;
          }
          assert.ok(sum <= bounds.bytesMax);
        }
      }),
    );
  });

  test("go in the order in which they were not used", async () => {
    const cache = await openMemoryCache({ bytesMax: 3 * 700, bytesPerTenantMax: 3 * 700 });
    const own = cache.forTenant(contextOf("a"));
    for (const name of ["1", "2", "3"]) await own.set([name], "x".repeat(50), MINUTE_MS);
    assert.equal(await own.get(["1"]), "x".repeat(50));
    await own.set(["4"], "x".repeat(50), MINUTE_MS);
    assert.deepEqual([await own.get(["2"]), await own.get(["1"])], [undefined, "x".repeat(50)]);
  });
});
