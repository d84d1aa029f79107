import assert from "node:assert/strict";
import { before, describe, test } from "node:test";
import type { DataStore } from "../../src/stores/data/index.ts";
import type { KeyInsert, Registry } from "../../src/tenancy/registry/index.ts";
import { eachEngine } from "../support/engines.ts";
import { until } from "../support/until.ts";
import { freshId, input, openElsewhere, openRegistry } from "./registry-under-test.ts";

describe("API keys", () => {
  eachEngine((engine) => {
    let store: DataStore;
    let registry: Registry;
    let elsewhere: Registry;

    before(async () => {
      const place = await engine.place();
      store = await place.open();
      registry = await openRegistry(store);
      elsewhere = await openRegistry(await openElsewhere(place, store));
    });

    function key(tenantUuid: string | null, parts: Partial<KeyInsert> = {}): KeyInsert {
      const id = `k${freshId()}`;
      return {
        id,
        tenantUuid,
        name: "Key",
        hash: Buffer.alloc(32, 5),
        roles: ["member"],
        scopes: ["chat", "search"],
        createdBy: "user-1",
        expiresAt: null,
        ...parts,
      };
    }

    test("come back whole, here and elsewhere, and belong to one tenant or to the platform", async () => {
      const tenant = await registry.create(input(freshId()));
      const expiresAt = new Date("2030-01-02T03:04:05.678Z");
      const hash = Buffer.from(Array.from({ length: 32 }, (_, at) => at * 8));
      const inserted = key(tenant.uuid, { hash, expiresAt, roles: ["admin", "member"] });
      const stored = await registry.createKey(inserted);
      const { tenantUuid: _uuid, ...given } = inserted;
      assert.deepEqual({ ...stored, createdAt: null }, { ...given, tenantId: tenant.id, revokedAt: null, createdAt: null });
      assert.deepEqual(await elsewhere.findKey(inserted.id), stored);
      const platform = await registry.createKey(key(null, { roles: ["viewer"] }));
      assert.equal(platform.tenantId, null);
      assert.deepEqual(
        (await elsewhere.keys(tenant.uuid)).map(({ id }) => id),
        [inserted.id],
      );
      assert.deepEqual(
        (await elsewhere.keys(null)).map(({ id }) => id),
        [platform.id],
      );
    });

    test("that are revoked are seen as such here at once and elsewhere within a second", async () => {
      const tenant = await registry.create(input(freshId()));
      const { id } = await registry.createKey(key(tenant.uuid));
      assert.equal((await elsewhere.findKey(id))?.revokedAt, null);
      await registry.revokeKey(tenant.uuid, id);
      const here = registry.findKey(id);
      assert.ok(!(here instanceof Promise) && here?.revokedAt instanceof Date);
      await until("the revocation elsewhere", async () => (await elsewhere.findKey(id))?.revokedAt, 1_000);
      await registry.revokeKey(tenant.uuid, id);
      assert.deepEqual((await registry.findKey(id))?.revokedAt, here.revokedAt, "revoking again changes nothing");
    });

    test("that were asked for before they were made are found when they are", async () => {
      const tenant = await registry.create(input(freshId()));
      const made = key(tenant.uuid);
      assert.equal(await elsewhere.findKey(made.id), undefined);
      await registry.createKey(made);
      await until("the key elsewhere", () => elsewhere.findKey(made.id), 1_000);
    });

    test("can be revoked by their own tenant only, and another's looks like none", async () => {
      const [a, b] = [await registry.create(input(freshId())), await registry.create(input(freshId()))];
      const { id } = await registry.createKey(key(b.uuid));
      for (const owner of [a.uuid, null]) await assert.rejects(registry.revokeKey(owner, id), { code: "not_found" });
      await assert.rejects(registry.revokeKey(a.uuid, "no-such-key"), { code: "not_found" });
      assert.equal((await registry.findKey(id))?.revokedAt, null);
    });

    test("have an id of their own: one that is taken is refused, whoever has it", async () => {
      const [a, b] = [await registry.create(input(freshId())), await registry.create(input(freshId()))];
      const first = key(b.uuid);
      await registry.createKey(first);
      await assert.rejects(registry.createKey({ ...first, tenantUuid: a.uuid }), { code: "conflict" });
      await assert.rejects(registry.createKey({ ...first, tenantUuid: null }), { code: "conflict" });
      assert.equal((await registry.findKey(first.id))?.tenantId, b.id);
    });

    test("cannot be changed by who has looked them up", async () => {
      const stored = await registry.createKey(key(null));
      assert.ok(Object.isFrozen(stored) && Object.isFrozen(stored.roles) && Object.isFrozen(stored.scopes));
    });
  });
});
