import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import path from "node:path";
import { before, describe, test } from "node:test";
import fc from "fast-check";
import type { Fault, Json } from "../../src/kernel/index.ts";
import type { CacheKey, CacheStore } from "../../src/stores/cache/index.ts";
import { createManualClock } from "../support/clock.ts";
import { createEngine } from "../support/engines.ts";
import { assertNoCanary, contextOf, tenantOf, valueOf } from "../support/tenants.ts";
import { openVault } from "../support/vaults.ts";
import { CACHE_ENGINES } from "./cache-under-test.ts";

const MINUTE_MS = 60_000;
const A = contextOf("a");
const B = contextOf("b");

for (const engine of CACHE_ENGINES) {
  describe(`a cache: ${engine.name}`, () => {
    const reports: Fault[] = [];
    let cache: CacheStore;
    before(async () => {
      cache = await engine.open({ reports });
    });

    test("gives back what was set, of every kind of JSON, and nothing that was not", async () => {
      const values: Json[] = [null, true, 0, -1.5, "", "ü \ud83d\ude00 \0", [], [1, [2]], {}, { a: { b: ["c"] } }];
      for (const [at, value] of values.entries()) {
        await cache.forTenant(A).set(["kinds", String(at)], value, MINUTE_MS);
        assert.deepEqual(await cache.forTenant(A).get(["kinds", String(at)]), value);
      }
      assert.equal(await cache.forTenant(A).get(["kinds", "none"]), undefined);
    });

    test("keeps two tenants apart under one key", async () => {
      const key: CacheKey = ["preferences", "user-1"];
      await cache.forTenant(A).set(key, valueOf("a", "theme"), MINUTE_MS);
      await cache.forTenant(B).set(key, valueOf("b", "theme"), MINUTE_MS);
      assertNoCanary(await cache.forTenant(A).get(key));
      assert.equal(await cache.forTenant(B).get(key), valueOf("b", "theme"));
      await cache.forTenant(A).delete(key);
      assert.equal(await cache.forTenant(A).get(key), undefined);
      assert.equal(await cache.forTenant(B).get(key), valueOf("b", "theme"));
      assertNoCanary(await cache.forTenant(A).getOrSet(key, MINUTE_MS, async () => "made for a"));
    });

    test("never takes one key for another, whatever their parts hold", async () => {
      const file = path.join(import.meta.dirname, "../vectors/composite-key-collisions.json");
      const { pairs } = JSON.parse(readFileSync(file, "utf8")) as { pairs: { a: [string, string]; b: [string, string] }[] }; // its shape
      const own = cache.forTenant(A);
      for (const { a, b } of pairs) {
        await own.set(a, "of a", MINUTE_MS);
        await own.set(b, "of b", MINUTE_MS);
        assert.deepEqual([await own.get(a), await own.get(b)], ["of a", "of b"]);
      }
      const part = fc.oneof(fc.string({ unit: "binary" }), fc.constantFrom("*", ":", "{}", "\n", "", "\ud800", "\udc00"));
      await fc.assert(
        fc.asyncProperty(
          fc.array(part, { minLength: 1, maxLength: 3 }),
          fc.array(part, { minLength: 1, maxLength: 3 }),
          async (one, other) => {
            fc.pre(one.length !== other.length || one.some((text, at) => text !== other[at]));
            await own.delete(other as unknown as CacheKey); // it has at least one part
            await own.set(one as unknown as CacheKey, "one", MINUTE_MS);
            assert.equal(await own.get(other as unknown as CacheKey), undefined);
            assert.equal(await own.get(one as unknown as CacheKey), "one");
          },
        ),
        { numRuns: 60 },
      );
    });

    test("keeps nothing beyond its time", async () => {
      const clock = createManualClock();
      const own = (await engine.open({ clock })).forTenant(A);
      await own.set(["timed"], "value", MINUTE_MS);
      clock.advance(MINUTE_MS - 1);
      assert.equal(await own.get(["timed"]), "value");
      clock.advance(1);
      assert.equal(await own.get(["timed"]), undefined);
      for (const ttlMs of [0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, 86_400_001]) {
        await assert.rejects(own.set(["timed"], "value", ttlMs), RangeError);
      }
    });

    test("makes a value once for all who ask at the same time, and once for each tenant", async () => {
      const makes: string[] = [];
      const make = (tenant: "a" | "b") => async (): Promise<Json> => {
        makes.push(tenant);
        await new Promise((resolve) => setImmediate(resolve));
        return { text: valueOf(tenant, "made") };
      };
      const asked = Array.from({ length: 100 }, async (_, at) => {
        const tenant = at % 2 === 0 ? "a" : "b";
        return [tenant, await cache.forTenant(contextOf(tenant)).getOrSet(["once"], MINUTE_MS, make(tenant))] as const;
      });
      const got = await Promise.all(asked);
      assert.deepEqual(makes.toSorted(), ["a", "b"]);
      for (const [tenant, value] of got) assert.deepEqual(value, { text: valueOf(tenant, "made") });
      assertNoCanary(got.filter(([tenant]) => tenant === "a"));
      const [[, first], , [, third]] = got as [(typeof got)[0], (typeof got)[0], (typeof got)[0]];
      (first as { text: string }).text = "changed by one of them";
      assert.deepEqual(third, { text: "made" });
      assert.deepEqual(await cache.forTenant(A).get(["once"]), { text: "made" });
    });

    test("keeps no failure, and gives it to those who wait for it alone", async () => {
      const own = cache.forTenant(A);
      let makes = 0;
      const failing = async (): Promise<Json> => {
        makes++;
        throw new Error("no");
      };
      const asked = Array.from({ length: 10 }, () => own.getOrSet(["failing"], MINUTE_MS, failing));
      const ofB = cache.forTenant(B).getOrSet(["failing"], MINUTE_MS, async () => "fine");
      await Promise.all(asked.map((each) => assert.rejects(each, /no/)));
      assert.deepEqual([await ofB, makes], ["fine", 1]);
      assert.equal(await own.getOrSet(["failing"], MINUTE_MS, async () => "good"), "good");
    });

    for (const [what, change] of [
      ["deleted", (own: ReturnType<CacheStore["forTenant"]>) => own.delete(["raced", "deleted"])],
      ["cleared", (own: ReturnType<CacheStore["forTenant"]>) => own.clear()],
    ] as const) {
      test(`does not keep a value that was being made while its key was ${what}`, async () => {
        const own = cache.forTenant(A);
        const making = Promise.withResolvers<void>();
        const goOn = Promise.withResolvers<void>();
        const asked = own.getOrSet(["raced", what], MINUTE_MS, async () => {
          making.resolve();
          await goOn.promise;
          return "old";
        });
        await making.promise;
        await change(own);
        assert.equal(await own.getOrSet(["raced", what], MINUTE_MS, async () => "new"), "new");
        goOn.resolve();
        assert.equal(await asked, "old");
        assert.equal(await own.get(["raced", what]), "new");
      });
    }

    test("clears one tenant alone, whatever its keys are called", async () => {
      for (const name of ["1", "*", "a", ""]) {
        await cache.forTenant(A).set(["cleared", name], "of a", MINUTE_MS);
        await cache.forTenant(B).set(["cleared", name], valueOf("b", "kept"), MINUTE_MS);
      }
      await cache.forTenant(A).clear();
      for (const name of ["1", "*", "a", ""]) {
        assert.equal(await cache.forTenant(A).get(["cleared", name]), undefined);
        assert.equal(await cache.forTenant(B).get(["cleared", name]), valueOf("b", "kept"));
      }
      await cache.forTenant(A).set(["cleared", "1"], "again", MINUTE_MS);
      assert.equal(await cache.forTenant(A).get(["cleared", "1"]), "again");
    });

    test("leaves out what is too large, and forgets what was there before it", async () => {
      const own = cache.forTenant(A);
      await own.set(["large"], "small", MINUTE_MS);
      await own.delete(["large"]);
      await own.set(["large"], "x".repeat(1024 * 1024), MINUTE_MS);
      assert.equal(await own.get(["large"]), undefined);
    });

    test("reads nothing of a tenant whose keys were destroyed, and makes it anew each time", async () => {
      const database = createEngine("PGlite");
      const store = await database.open();
      const vault = await openVault(store.system);
      const destroyed = await engine.open({ vault });
      const tenant = tenantOf("shredded");
      const own = destroyed.forTenant(contextOf(tenant));
      await own.set(["secret"], "value", MINUTE_MS);
      await vault.lifecycle.erase(tenant);
      assert.equal(await own.get(["secret"]), undefined);
      await own.set(["secret"], "value", MINUTE_MS);
      assert.equal(await own.get(["secret"]), undefined);
      assert.equal(await own.getOrSet(["secret"], MINUTE_MS, async () => "made"), "made");
      await vault.close();
      await database.close();
    });

    test("measures and erases one tenant, gives nothing away and takes nothing in", async () => {
      const { lifecycle } = cache;
      const [mine, theirs] = [tenantOf("leaving"), tenantOf("staying")];
      await lifecycle.provision(mine);
      for (let at = 0; at < 30; at++) {
        await cache.forTenant(contextOf(mine)).set(["n", String(at)], "x".repeat(100), MINUTE_MS);
        await cache.forTenant(contextOf(theirs)).set(["n", String(at)], "x".repeat(100), MINUTE_MS);
      }
      const use = await lifecycle.measure(mine);
      assert.equal(use.items, 30);
      assert.ok(use.bytes > 3_000 && use.bytes < 30_000, String(use.bytes));
      for await (const record of lifecycle.export(mine)) assert.fail(record.kind);
      const records = (async function* () {
        yield { kind: "value", value: {} };
      })();
      await assert.rejects(lifecycle.import(theirs, records), { code: "invalid_settings" });
      assert.deepEqual((await lifecycle.remains(mine)).length, 1);
      await lifecycle.erase(mine);
      await lifecycle.erase(mine);
      assert.deepEqual(await lifecycle.remains(mine), []);
      assert.equal((await lifecycle.measure(theirs)).items, 30);
      assert.equal(await cache.forTenant(contextOf(theirs)).get(["n", "7"]), "x".repeat(100));
    });

    test("had nothing to report in all this", () => assert.deepEqual(reports, []));
  });
}
