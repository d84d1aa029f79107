import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import { createDataStore, createSearchPlaces, type DataStore, sql } from "../../src/stores/data/index.ts";
import { createLexicalEmbedder } from "../../src/stores/search/index.ts";
import { createSearchLifecycle } from "../../src/stores/search/search-lifecycle.ts";
import { MOVE_STEPS } from "../../src/stores/data/move/move-report.ts";
import { written } from "../data/written-statement.ts";
import { testPorts } from "../support/data-ports.ts";
import { createEngine, eachEngine, type Place } from "../support/engines.ts";
import { assertNoCanary, CANARY, contextOf } from "../support/tenants.ts";
import { searchOf } from "./search-under-test.ts";

const A = contextOf("a");
const B = contextOf("b");
const ITEMS = 30;
const OWN = /^s_[0-9a-f]{20}$/;
const PROGRAM = path.join(import.meta.dirname, "move-program.ts");
/** What a move within one database has. */
const STEPS = MOVE_STEPS.filter((step) => step !== "closing" && step !== "refused");
const KILLS = Number(process.env["FREEHOLD_TEST_MOVE_KILLS"] ?? STEPS.length);
const ROUND_TIMEOUT_MS = 40_000;

/** Where the tenant's points are, in any schema. */
async function pointsOf(place: Place, tenant: string): Promise<Record<string, number>> {
  const found: Record<string, number> = {};
  const schemas = await place.administer<{ name: string }>(
    "select schemaname as name from pg_tables where tablename = 'points' and schemaname !~ '^t_'",
  );
  for (const { name } of schemas) {
    const [row] = await place.administer<{ items: number }>(
      `select count(*)::integer as items from ${name}.points where tenant_id = '${tenant}'`,
    );
    found[OWN.test(name) ? "own" : name] = row?.items ?? 0;
  }
  return found;
}

/** Puts, finds and removes items one after the other, each of its own, until it is stopped. */
function startSearchers(stores: readonly DataStore[]) {
  const failures: unknown[] = [];
  const kept = new Set<string>();
  const end = new AbortController();
  const work = async (store: DataStore, worker: number): Promise<void> => {
    const own = searchOf(store, A);
    for (let n = 0; !end.signal.aborted; n++) {
      const ref = `w${worker}-${n}`;
      try {
        await own.put({ ref, title: ref, text: `harbour ${ref}` });
        if (!(await own.find(ref)).some((hit) => hit.ref === ref)) throw new Error(`${ref} was put and not found`);
        if (n % 3 !== 0) kept.add(ref);
        else await own.remove(ref);
      } catch (error) {
        failures.push(error);
      }
    }
  };
  const running = Promise.all(stores.map(work));
  return {
    failures,
    kept,
    async stop(): Promise<void> {
      end.abort();
      await running;
    },
  };
}

async function refsOf(store: DataStore): Promise<Set<string>> {
  const { rows } = await store.forTenant(A).query<{ ref: string }>(sql`select distinct ref from points where ref like 'w%'`);
  return new Set(rows.map(({ ref }) => ref));
}

describe("what a tenant searches, when it is moved to a table of its own", () => {
  eachEngine((engine) => {
    let place: Place;
    let store: DataStore;
    let second: DataStore | undefined;
    before(async () => {
      place = await engine.place();
      store = await place.open();
      for (const context of [A, B]) {
        const own = searchOf(store, context);
        for (let n = 0; n < ITEMS; n++) await own.put({ ref: `d-${n}`, title: `number ${n}`, text: `The ship ${n} lies in the harbour.` });
      }
      second = place.location.kind === "postgres" ? await createDataStore(place.location, testPorts()) : undefined;
    });
    after(async () => {
      await second?.close();
      await store.close();
    });

    test("is found there as before, by every process, and nothing of another tenant, there and back", async () => {
      const places = createSearchPlaces(store.homes);
      const hits = await searchOf(store, A).find("ship harbour");
      assert.equal(hits.length, 10);
      for (const target of ["own", "shared", "own"] as const) {
        const report = await places.move(A.tenant, target);
        assert.deepEqual([report.source, report.target], [target === "own" ? "shared" : "own", target]);
        assert.deepEqual(
          report.parts.map(({ name, items }) => [name, items]),
          [["points", ITEMS]],
        );
        assert.deepEqual([await places.placeOf(A.tenant), await places.placeOf(B.tenant)], [target, "shared"]);
        assert.equal(store.homes.modelOf(A.tenant), "row");
        for (const each of [store, second]) if (each) assert.deepEqual(await searchOf(each, A).find("ship harbour"), hits);
        assertNoCanary(JSON.stringify(hits));
        await assert.rejects(places.move(A.tenant, target === "own" ? "shared" : "own"), { code: "conflict" }, "the old table is kept");
        await places.confirm(A.tenant);
        await assert.rejects(places.move(A.tenant, target), { code: "conflict" });
      }
      assert.equal((await searchOf(store, B).find("ship harbour")).length, 10);
    });

    test("is not another tenant's to read or write, whoever names the table", async () => {
      const { rows } = await store.system.query<{ place: string }>(sql`
        select format('%I.points', nspname) as place from pg_catalog.pg_namespace where nspname ~ '^s_[0-9a-f]{20}$'`);
      const own = rows[0]?.place ?? "";
      assert.match(own, /^s_/);
      const b = store.forTenant(B);
      assert.equal((await b.query(written(`select * from ${own}`))).count, 0);
      assert.equal((await b.query(written(`delete from ${own}`))).count, 0);
      const stolen = `insert into ${own} select '${B.tenant.uuid}', id, kind, ref, part, title, body, payload, words, embedder, embedding from points`;
      await assert.rejects(b.query(written(stolen)));
      assert.equal((await searchOf(store, A).find("ship harbour")).length, 10);
    });

    test("goes with its rows when they move to a schema, and with the tenant when that is exported and erased", async () => {
      const hits = await searchOf(store, A).find("ship harbour");
      const embedder = createLexicalEmbedder();
      const lifecycle = createSearchLifecycle({ data: store, embedder, contextOf: async () => A });
      assert.equal((await lifecycle.measure(A.tenant)).items, ITEMS);
      await store.homes.move(A.tenant, "schema");
      await assert.rejects(store.homes.moveSearch(A.tenant, "own"), { code: "conflict" });
      await store.homes.confirm(A.tenant);
      assert.deepEqual(await searchOf(store, A).find("ship harbour"), hits);
      await store.homes.move(A.tenant, "row");
      await store.homes.confirm(A.tenant);
      assert.deepEqual([store.homes.searchPlaceOf(A.tenant), await searchOf(store, A).find("ship harbour")], ["shared", hits]);
      await store.homes.moveSearch(A.tenant, "own");
      await store.homes.confirm(A.tenant);
      let exported = 0;
      for await (const { kind } of lifecycle.export(A.tenant)) exported += kind === "passage" ? 1 : 0;
      assert.equal(exported, ITEMS);
      await store.lifecycle(async () => "row").erase(A.tenant);
      await second?.close();
      await store.close();
      assert.deepEqual(
        [await pointsOf(place, A.tenant.uuid), (await pointsOf(place, B.tenant.uuid))["freehold"]],
        [{ freehold: 0 }, ITEMS],
      );
    });
  });
});

describe("a program that is killed while it moves what a tenant searches", () => {
  const engine = createEngine("PostgreSQL");
  after(() => engine.close());

  test(`has lost no item, refused none and doubled none, after ${KILLS} kills`, { timeout: KILLS * ROUND_TIMEOUT_MS }, async (t) => {
    const place = await engine.place();
    const stores = [await place.open(), await place.open()];
    const [store = assert.fail()] = stores;
    await searchOf(store, B).put({ ref: "others", title: CANARY, text: CANARY });
    const searchers = startSearchers(stores);
    t.after(() => searchers.stop());
    const location = JSON.stringify(place.location);
    for (let kill = 0; kill < KILLS; kill++) {
      const target = kill % 2 === 0 ? "own" : "shared";
      const step = STEPS[kill % STEPS.length] ?? "begun";
      assert.equal(await runProgram([location, target, step]), "SIGKILL", step);
      assert.equal(await runProgram([location, target]), null);
      assert.deepEqual(searchers.failures, [], `after ${step} on the way to ${target}`);
    }
    await searchers.stop();
    assert.deepEqual(searchers.failures, []);
    assert.deepEqual(await refsOf(store), searchers.kept);
    const found = await searchOf(store, A).find("harbour", undefined);
    assertNoCanary(JSON.stringify(found));
    assert.deepEqual(await store.homes.moves(), []);
    const there = await pointsOf(place, A.tenant.uuid);
    assert.deepEqual(there, KILLS % 2 === 0 ? { freehold: searchers.kept.size } : { freehold: 0, own: searchers.kept.size });
    t.diagnostic(`${KILLS} kills, ${searchers.kept.size} items are there`);
  });
});

/** The signal that ended the program, if one did. */
async function runProgram(args: readonly string[]): Promise<NodeJS.Signals | null> {
  const child = spawn(process.execPath, [PROGRAM, ...args], { stdio: ["ignore", "inherit", "inherit"] });
  await once(child, "exit");
  return child.signalCode;
}
