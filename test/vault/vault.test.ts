import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { before, describe, test } from "node:test";
import { inspect, isDeepStrictEqual } from "node:util";
import fc from "fast-check";
import { type Fault, type StoreTenant, systemRandom, toFault } from "../../src/kernel/index.ts";
import { type DataStore, sql } from "../../src/stores/data/index.ts";
import { createLocalRootKeys, type RootKeys, type SealPlace, type VaultStore } from "../../src/stores/vault/index.ts";
import { createManualClock } from "../support/clock.ts";
import { eachEngine } from "../support/engines.ts";
import { assertNoCanary, CANARY, contextOf, tenantIdOf, tenantOf } from "../support/tenants.ts";
import { until } from "../support/until.ts";
import { openVault, ROOT_KEY } from "../support/vaults.ts";

const A: StoreTenant = tenantOf("a");
const B: StoreTenant = tenantOf("b");
const PLACE: SealPlace = { purpose: "columns", table: "documents", column: "body", row: ["doc-1"] };
const SECRET = Buffer.from(`the value of b ${CANARY}`);
const damaged = { name: "Fault", code: "isolation_violation" };
const unavailable = { name: "Fault", code: "dependency_unavailable" };

/** A tenant that no other test has. */
function freshTenant(): StoreTenant {
  return tenantOf(tenantIdOf(`t-${randomBytes(6).toString("hex")}`));
}

/** Root keys whose calls are counted, and which can be cut off. */
function watched(roots: RootKeys): RootKeys & { calls: number; down: boolean } {
  const state = { calls: 0, down: false };
  const pass = async <T>(call: () => Promise<T>): Promise<T> => {
    state.calls++;
    if (state.down) throw new Error("the root key is down");
    return await call();
  };
  return Object.assign(state, {
    ...roots,
    wrap: (...given: Parameters<RootKeys["wrap"]>) => pass(() => roots.wrap(...given)),
    unwrap: (...given: Parameters<RootKeys["unwrap"]>) => pass(() => roots.unwrap(...given)),
  });
}

describe("the vault", () => {
  eachEngine((engine) => {
    let store: DataStore;
    let vault: VaultStore;

    before(async () => {
      store = await engine.open();
      vault = await openVault(store.system);
    });

    test("opens what it sealed, for the tenant and the place it was sealed for", async () => {
      const sealed = await vault.forTenant(B).seal(PLACE, SECRET);
      assert.deepEqual(await vault.forTenant(B).open(PLACE, sealed), SECRET);
      assert.deepEqual(await vault.forTenant(B).open(PLACE, await vault.forTenant(B).seal(PLACE, Buffer.alloc(0))), Buffer.alloc(0));
      assertNoCanary(sealed);
    });

    test("opens nothing that was carried to another tenant, table, column, row or purpose", async () => {
      const sealed = await vault.forTenant(B).seal(PLACE, SECRET);
      const places: SealPlace[] = [
        { ...PLACE, table: "users" },
        { ...PLACE, column: "title" },
        { ...PLACE, row: ["doc-2"] },
        { ...PLACE, row: ["doc-1", ""] },
        { ...PLACE, row: [] },
        { ...PLACE, purpose: "secrets" },
        { ...PLACE, table: "documents.body", column: "", row: ["doc-1"] },
      ];
      for (const place of places) await assert.rejects(vault.forTenant(B).open(place, sealed), damaged, JSON.stringify(place));
      const error = await vault
        .forTenant(A)
        .open(PLACE, sealed)
        .then(() => assert.fail("opened"), toFault);
      assert.equal(error.code, "isolation_violation");
      assertNoCanary(error);
    });

    test("opens nothing of which a byte is another or missing", async () => {
      const sealed = await vault.forTenant(B).seal(PLACE, Buffer.from("short"));
      for (let at = 0; at < sealed.length; at++) {
        const changed = Buffer.from(sealed);
        changed[at] = (changed[at] ?? 0) ^ 0x80;
        await assert.rejects(vault.forTenant(B).open(PLACE, changed), damaged, `byte ${at}`);
        await assert.rejects(vault.forTenant(B).open(PLACE, sealed.subarray(0, at)), damaged, `cut at ${at}`);
      }
    });

    test("seals the same value differently each time", async () => {
      const seals = await Promise.all(Array.from({ length: 200 }, () => vault.forTenant(A).seal(PLACE, SECRET)));
      assert.equal(new Set(seals.map((each) => each.toString("hex"))).size, 200);
      assert.equal(new Set(seals.map((each) => each.subarray(5, 33).toString("hex"))).size, 200);
    });

    test("makes one first key for a tenant, however many ask at once and in how many processes", async () => {
      const tenant = freshTenant();
      const others = await Promise.all([openVault(store.system), openVault(store.system), openVault(store.system)]);
      const sealed = await Promise.all(
        [vault, ...others].flatMap((each) => [1, 2, 3].map(() => each.forTenant(tenant).seal(PLACE, SECRET))),
      );
      for (const each of sealed) assert.deepEqual(await vault.forTenant(tenant).open(PLACE, each), SECRET);
      assert.deepEqual((await vault.lifecycle.measure(tenant)).items, 1);
      for (const each of others) await each.close();
    });

    test("keeps no key in the database that opens anything without the root key", async () => {
      const sealed = await vault.forTenant(B).seal(PLACE, SECRET);
      const stranger = await openVault(store.system, { roots: [createLocalRootKeys([randomBytes(32)], systemRandom)] });
      await assert.rejects(stranger.forTenant(B).open(PLACE, sealed), unavailable);
      await stranger.close();
    });

    test("gives a tenant's own statements no way to the keys, not even its own", async () => {
      await vault.forTenant(A).seal(PLACE, SECRET);
      for (const statement of [
        sql`select * from freehold.vault_keys`,
        sql`select * from freehold.vault_tenants`,
        sql`delete from freehold.vault_keys`,
        sql`update freehold.vault_tenants set destroyed_at = now()`,
      ]) {
        await assert.rejects(store.forTenant(contextOf("a")).query(statement), { code: "forbidden" });
      }
    });

    test("opens no key of one tenant for another when its row is given to it", async () => {
      const [victim, thief] = [freshTenant(), freshTenant()];
      const sealed = await vault.forTenant(victim).seal(PLACE, SECRET);
      await store.system.query(sql`insert into freehold.vault_tenants (subject) values (${thief.uuid})`);
      await store.system.query(sql`
        insert into freehold.vault_keys (tenant_id, purpose, version, root, wrapped)
        select ${thief.uuid}::uuid, purpose, version, root, wrapped from freehold.vault_keys where tenant_id = ${victim.uuid}`);
      await assert.rejects(vault.forTenant(thief).open(PLACE, sealed), unavailable);
      await assert.rejects(vault.forTenant(thief).seal(PLACE, SECRET), unavailable);
    });

    test("never confuses two places, whatever their parts hold", async () => {
      const part = fc.oneof(fc.string({ unit: "binary" }), fc.constantFrom("", ".", '","', "a", "\ud800"));
      const place = fc.record({ table: part, column: part, row: fc.array(part, { maxLength: 3 }) });
      await fc.assert(
        fc.asyncProperty(place, place, async (one, other) => {
          fc.pre(!isDeepStrictEqual([one.table, one.column, one.row], [other.table, other.column, other.row]));
          const sealed = await vault.forTenant(A).seal({ purpose: "columns", ...one }, SECRET);
          await assert.rejects(vault.forTenant(A).open({ purpose: "columns", ...other }, sealed), damaged);
          assert.deepEqual(await vault.forTenant(A).open({ purpose: "columns", ...one }, sealed), SECRET);
        }),
      );
    });

    test("opens what older keys sealed after a new one was made, in every process", async () => {
      const tenant = freshTenant();
      const other = await openVault(store.system);
      const sealed = [await vault.forTenant(tenant).seal(PLACE, SECRET)];
      await other.forTenant(tenant).open(PLACE, sealed[0] ?? Buffer.alloc(0));
      for (let version = 2; version <= 4; version++) {
        assert.equal(await vault.rotate(tenant, "columns"), version);
        assert.equal(await vault.forTenant(tenant).version("columns"), version);
        sealed.push(await vault.forTenant(tenant).seal(PLACE, SECRET));
        await until("the other process seals with the new key", async () => (await other.forTenant(tenant).version("columns")) === version);
      }
      for (const each of sealed) {
        assert.deepEqual(await vault.forTenant(tenant).open(PLACE, each), SECRET);
        assert.deepEqual(await other.forTenant(tenant).open(PLACE, each), SECRET);
      }
      await other.close();
    });
  });
});

describe("a root key that is down", () => {
  eachEngine((engine) => {
    test("leaves the keys in memory in use until their time is over, then nothing opens, and nothing is ever sealed in plain text", async () => {
      const store = await engine.open();
      const clock = createManualClock();
      const roots = watched(createLocalRootKeys([ROOT_KEY], systemRandom));
      const vault = await openVault(store.system, { roots: [roots], clock, bounds: { keyTtlMs: 60_000, tenantsMax: 10 } });
      const own = vault.forTenant(A);
      const sealed = await own.seal(PLACE, SECRET);
      await own.open(PLACE, sealed);
      roots.down = true;
      clock.advance(29_000);
      assert.deepEqual(await own.open(PLACE, sealed), SECRET);
      clock.advance(30_000); // loads anew in the background and fails, unseen
      assert.deepEqual(await own.open(PLACE, await own.seal(PLACE, SECRET)), SECRET);
      clock.advance(1_001);
      const refused = [own.open(PLACE, sealed), own.seal(PLACE, SECRET), vault.forTenant(freshTenant()).seal(PLACE, SECRET)];
      await Promise.all(refused.map((each) => assert.rejects(each, (error) => /root key is down/.test(inspect(error)))));
      const asked = roots.calls;
      await assert.rejects(own.open(PLACE, sealed));
      assert.equal(roots.calls, asked, "for a moment the failure is the answer");
      roots.down = false;
      clock.advance(1_001);
      assert.deepEqual(await own.open(PLACE, sealed), SECRET);
      await vault.close();
    });

    test("is asked once for many requests at once, and not at all for a minute after that", async () => {
      const store = await engine.open();
      const roots = watched(createLocalRootKeys([ROOT_KEY], systemRandom));
      const vault = await openVault(store.system, { roots: [roots] });
      const sealed = await vault.forTenant(A).seal(PLACE, SECRET);
      await vault.close();
      const fresh = await openVault(store.system, { roots: [roots] });
      const asked = roots.calls;
      await Promise.all(Array.from({ length: 500 }, () => fresh.forTenant(A).open(PLACE, sealed)));
      assert.equal(roots.calls - asked, 1);
      await fresh.close();
    });
  });
});

describe("keys that are destroyed", () => {
  eachEngine((engine) => {
    test("open nothing any more, in this process and in others, and none is made again", async () => {
      const store = await engine.open();
      const [vault, other] = [await openVault(store.system), await openVault(store.system)];
      const sealed = await vault.forTenant(B).seal(PLACE, SECRET);
      const others = await vault.forTenant(A).seal(PLACE, Buffer.from("of a"));
      await other.forTenant(B).open(PLACE, sealed);
      await vault.lifecycle.erase(B);
      const gone = { code: "not_found" };
      await assert.rejects(vault.forTenant(B).open(PLACE, sealed), gone);
      await assert.rejects(vault.forTenant(B).seal(PLACE, SECRET), gone);
      await assert.rejects(vault.rotate(B, "columns"), gone);
      await assert.rejects(vault.setRoot(B, null), gone);
      await until("the other process has forgotten the key", () =>
        other
          .forTenant(B)
          .open(PLACE, sealed)
          .then(
            () => false,
            () => true,
          ),
      );
      assert.deepEqual(await vault.lifecycle.remains(B), []);
      await until("nothing is left in the other process", async () => (await other.lifecycle.remains(B)).length === 0);
      assert.deepEqual(await vault.forTenant(A).open(PLACE, others), Buffer.from("of a"));
      await vault.lifecycle.erase(B); // again, as after a kill
      await Promise.all([vault.close(), other.close()]);
    });

    test("are not outlived by one that another process was just making", async () => {
      const store = await engine.open();
      const tenant = freshTenant();
      const slow = createLocalRootKeys([ROOT_KEY], systemRandom);
      const wrapping = Promise.withResolvers<void>();
      const goOn = Promise.withResolvers<void>();
      const roots: RootKeys = {
        ...slow,
        wrap: async (...given) => {
          wrapping.resolve();
          await goOn.promise;
          return await slow.wrap(...given);
        },
      };
      const [making, destroying] = [await openVault(store.system, { roots: [roots] }), await openVault(store.system)];
      const sealing = making.forTenant(tenant).seal(PLACE, SECRET);
      await wrapping.promise;
      await destroying.lifecycle.erase(tenant);
      goOn.resolve();
      await assert.rejects(sealing, { code: "not_found" });
      assert.deepEqual(await destroying.lifecycle.remains(tenant), []);
      await Promise.all([making.close(), destroying.close()]);
    });
  });
});

describe("the life of a tenant in the vault", () => {
  eachEngine((engine) => {
    test("begins with its keys, exports and imports none, and ends without a trace of them", async () => {
      const store = await engine.open();
      const reports: Fault[] = [];
      const vault = await openVault(store.system, { reports });
      const { lifecycle } = vault;
      await lifecycle.provision(B);
      await lifecycle.provision(B);
      const use = await lifecycle.measure(B);
      assert.equal(use.items, 4);
      assert.ok(use.bytes >= 4 * 32);
      for await (const record of lifecycle.export(B)) assert.fail(record.kind);
      const keys = (async function* () {
        yield { kind: "vault_keys", value: { wrapped: "AAAA" } };
      })();
      await assert.rejects(lifecycle.import(A, keys), { code: "invalid_settings" });
      assert.ok((await lifecycle.remains(B)).length > 0);
      await lifecycle.erase(B);
      assert.deepEqual(await lifecycle.remains(B), []);
      assert.deepEqual(reports, []);
      await vault.close();
    });
  });
});
