import assert from "node:assert/strict";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import fc from "fast-check";
import { createKeyring, type StorePlaces, systemClock, systemRandom } from "../../src/kernel/index.ts";
import { createCacheStore, createMemoryCache } from "../../src/stores/cache/index.ts";
import { type DataStore, defineTables, sql } from "../../src/stores/data/index.ts";
import { createEventStore } from "../../src/stores/events/index.ts";
import { createFolderEngine } from "../../src/stores/files/index.ts";
import { createStores, type Stores, type TenantScope } from "../../src/stores/index.ts";
import { createLexicalEmbedder, createSearchStore } from "../../src/stores/search/index.ts";
import type { VaultStore } from "../../src/stores/vault/index.ts";
import { openFiles, pieces, readAll } from "../files/files-under-test.ts";
import { testPorts } from "../support/data-ports.ts";
import { eachModel, temporaryFolder } from "../support/engines.ts";
import { assertNoCanary, contextOf, tenantOf, valueOf } from "../support/tenants.ts";
import { openVault } from "../support/vaults.ts";

declare module "../../src/stores/data/port.ts" {
  interface TenantTables {
    readonly things: { id: string; body: string; secret: string };
  }
}

/** How many histories are tried per engine and data model. */
const RUNS = Number(process.env["FREEHOLD_TEST_RUNS"] ?? 6);
const STEPS_MAX = 16;
const CACHE_MS = 3_600_000;
const THINGS = defineTables([
  {
    name: "things",
    create: {
      things: { columns: { id: "text not null", body: "text not null", secret: "bytea not null" }, key: ["id"], sealed: ["secret"] },
    },
  },
]);

type Name = "a" | "b";
/** What a tenant does; both use the same few keys. */
type Step = { readonly tenant: Name; readonly key: string; readonly value: string } & (
  | { readonly does: "put" | "remove" | "index" | "unindex" | "store" | "discard" | "keep" | "forget" }
  | { readonly does: "move"; readonly what: "data" | "search" | "files"; readonly place: number }
);

const base = {
  tenant: fc.constantFrom<Name>("a", "b"),
  key: fc.constantFrom("one", "two", "three"),
  value: fc.stringMatching(/^[a-z]{3,8}$/),
};
const DEEDS = ["put", "remove", "index", "unindex", "store", "discard", "keep", "forget"] as const;
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 12, arbitrary: fc.record({ ...base, does: fc.constantFrom(...DEEDS) }) },
  {
    weight: 3,
    arbitrary: fc.record({
      ...base,
      does: fc.constant("move" as const),
      what: fc.constantFrom("data" as const, "search" as const, "search" as const, "files" as const, "files" as const),
      place: fc.nat(7),
    }),
  },
);

/** What a tenant has by what it has done: nobody else's steps are in it. */
interface Expected {
  readonly things: Map<string, string>;
  readonly found: Map<string, string>;
  readonly files: Map<string, string>;
  readonly cached: Map<string, string>;
}

const nothing = (): Expected => ({ things: new Map(), found: new Map(), files: new Map(), cached: new Map() });

function contextWithRoom(name: Name) {
  const tenant = tenantOf(name);
  return contextOf({ ...tenant, quotas: { ...tenant.quotas, storageLimit: 1_000_000_000 } });
}

async function act(
  scope: TenantScope,
  places: readonly StorePlaces[],
  { tenant, key, value, ...deed }: Step,
  had: Expected,
): Promise<void> {
  const text = valueOf(tenant, value);
  const row = { id: key, body: text, secret: text };
  switch (deed.does) {
    case "put":
      if (had.things.has(key)) await scope.data.db.updateTable("things").set({ body: text, secret: text }).where("id", "=", key).execute();
      else await scope.data.db.insertInto("things").values(row).execute();
      had.things.set(key, text);
      return;
    case "remove":
      await scope.data.db.deleteFrom("things").where("id", "=", key).execute();
      had.things.delete(key);
      return;
    case "index": {
      const item = await scope.search.prepare({ kind: "document", ref: key, title: key, text, payload: {} });
      await scope.data.transaction((tx) => scope.search.put(tx, item));
      had.found.set(key, value);
      return;
    }
    case "unindex":
      await scope.data.transaction((tx) => scope.search.remove(tx, "document", key));
      had.found.delete(key);
      return;
    case "store":
      await scope.files.put(key, pieces(text));
      had.files.set(key, text);
      return;
    case "discard":
      if (had.files.delete(key)) await scope.files.delete(key);
      else await assert.rejects(scope.files.delete(key), { code: "not_found" });
      return;
    case "keep":
      await scope.cache.set([key], text, CACHE_MS);
      had.cached.set(key, text);
      return;
    case "forget":
      await scope.cache.delete([key]);
      had.cached.delete(key);
      return;
    case "move":
      return await move(scope, places, deed);
  }
}

async function move(
  { context }: TenantScope,
  places: readonly StorePlaces[],
  { what, place }: Pick<Extract<Step, { does: "move" }>, "what" | "place">,
): Promise<void> {
  const store = places.find((each) => each.store === what);
  assert.ok(store);
  const now = store.places.indexOf(await store.placeOf(context.tenant));
  const target = store.places[(now + 1 + (place % (store.places.length - 1))) % store.places.length] ?? "";
  try {
    await store.move(context.tenant, target);
  } catch (error) {
    // it is there already, goes with its rows, or the engine has no such place
    assert.ok(["conflict", "invalid_settings"].includes((error as { code?: string }).code ?? ""), String(error));
  }
  await store.confirm(context.tenant);
}

/** The tenant has exactly what its own steps have made. */
async function assertHas(scope: TenantScope, { things, found, files, cached }: Expected): Promise<void> {
  const rows = await scope.data.db.selectFrom("things").selectAll().execute();
  assert.deepEqual(new Map(rows.map(({ id, secret }) => [id, secret])), things);
  assert.deepEqual(new Map(rows.map(({ id, body }) => [id, body])), things);
  const seen: unknown[] = [rows];
  for (const [key, word] of found) {
    const hits = await scope.search.query({ query: word, limit: 50 });
    assert.ok(
      hits.some(({ ref }) => ref === key),
      `${key} is found by ${word}`,
    );
    for (const { ref } of hits) assert.ok(found.has(ref), `${ref} was not put`);
    seen.push(hits);
  }
  const stored = new Map<string, string>();
  for (const { name } of (await scope.files.list({ limit: 100 })).files) {
    stored.set(name, (await readAll((await scope.files.get(name)).content)).toString());
  }
  assert.deepEqual(stored, files);
  seen.push([...stored]);
  for (const key of ["one", "two", "three"]) {
    const value = await scope.cache.get([key]);
    assert.equal(value, cached.get(key));
    seen.push(value);
  }
  if (scope.context.tenant.id === "a") assertNoCanary(seen);
}

describe("whatever two tenants do, in whatever order and wherever their stores are", () => {
  eachModel((engine, model) => {
    const folder = temporaryFolder();
    let data: DataStore;
    let vault: VaultStore;
    let stores: Stores;
    const ends: (() => Promise<void>)[] = [];

    before(async () => {
      data = await engine.open({ ports: { ...testPorts(), tables: THINGS } });
      await data.fleet.up();
      vault = await openVault(data.system);
      const report = (fault: Error): never => assert.fail(fault);
      const [shared, own] = [await createFolderEngine(path.join(folder, "shared")), await createFolderEngine(path.join(folder, "own"))];
      const files = openFiles({ data, vault, engine: shared, ownEngine: own });
      const bounds = { bytesMax: 1_000_000, bytesPerTenantMax: 500_000 };
      const cache = createCacheStore({ engine: createMemoryCache(bounds, systemClock), vault, clock: systemClock, report });
      const events = createEventStore({ keyring: createKeyring(Buffer.alloc(32, 7)), clock: systemClock, random: systemRandom });
      stores = createStores({ data, vault, files, cache, events, search: createSearchStore({ data, embedder: createLexicalEmbedder() }) });
      for (const name of ["a", "b"] as const) await data.lifecycle(async () => model).provision(tenantOf(name));
      ends.push(
        () => files.close(),
        () => cache.close(),
        () => vault.close(),
      );
    });
    after(async () => {
      for (const end of ends) await end();
    });

    test(`each has what its own steps made, and nothing of the other's (${RUNS} histories)`, async (t) => {
      const seed = Math.floor(Math.random() * 2 ** 31);
      t.diagnostic(`seed ${seed}`);
      await fc.assert(
        fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: STEPS_MAX }), async (history) => {
          const scopes = { a: stores.scope(contextWithRoom("a")), b: stores.scope(contextWithRoom("b")) };
          const expected = { a: nothing(), b: nothing() };
          for (const scope of Object.values(scopes)) await empty(scope);
          // from the beginning there is something of every kind to move
          for (const does of ["put", "index", "store", "keep"] as const) {
            for (const tenant of ["a", "b"] as const) {
              await act(scopes[tenant], stores.places, { tenant, key: "one", value: "first", does }, expected[tenant]);
            }
          }
          for (const each of history) {
            await act(scopes[each.tenant], stores.places, each, expected[each.tenant]);
            for (const name of ["a", "b"] as const) await assertHas(scopes[name], expected[name]);
          }
        }),
        { numRuns: RUNS, seed },
      );
    });
  });
});

/** Takes away what an earlier history has left. */
async function empty(scope: TenantScope): Promise<void> {
  await scope.data.query(sql`delete from things`);
  await scope.data.query(sql`delete from points`);
  for (const { name } of (await scope.files.list({ limit: 100 })).files) await scope.files.delete(name);
  await scope.cache.clear();
}
