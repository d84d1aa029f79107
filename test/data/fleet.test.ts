import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { before, describe, test } from "node:test";
import type { DataModel } from "../../src/kernel/index.ts";
import { type DataStore, defineTables, sql, type TableSet } from "../../src/stores/data/index.ts";
import { homeNames } from "../../src/stores/data/home.ts";
import { testPorts } from "../support/data-ports.ts";
import { FIRST, NOTES, SECOND, THIRD } from "../support/declared-tables.ts";
import { type Engine, createEngine, eachEngine, type Place } from "../support/engines.ts";
import { contextOf } from "../support/tenants.ts";

const TWO = defineTables([FIRST, SECOND]);
const THREE = defineTables([FIRST, SECOND, THIRD]);
const PROGRAM = new URL("fleet-program.ts", import.meta.url).pathname;

/** The homes of these tenants, which are made with the first step. */
function homesOf(engine: Engine): Readonly<Record<string, DataModel>> {
  return { r: "row", s0: "schema", s1: "schema", s2: "schema", ...(engine.name === "PostgreSQL" && { d0: "database" as const }) };
}

async function openWith(place: Place, tables: TableSet): Promise<DataStore> {
  return await place.open({ ports: { ...testPorts(), tables } });
}

async function prepare(engine: Engine): Promise<Place> {
  const place = await engine.place();
  const store = await openWith(place, NOTES);
  await store.fleet.up();
  for (const [name, model] of Object.entries(homesOf(engine))) {
    await store.homes.place(contextOf(name).tenant, model);
    const data = store.forTenant(contextOf(name));
    await data.query(sql`insert into boards (id, title) values ('board', 'Board')`);
    await data.query(sql`insert into notes (id, board, body) values ('note', 'board', ${name})`);
  }
  await store.close();
  return place;
}

async function colours(store: DataStore, names: readonly string[]): Promise<unknown[]> {
  const found = await Promise.all(names.map((name) => store.forTenant(contextOf(name)).query(sql`select body, colour from notes`)));
  return found.map(({ rows }) => rows);
}

describe("a step of the application's tables", () => {
  eachEngine((engine) => {
    let place: Place;
    let names: readonly string[];

    before(async () => {
      place = await prepare(engine);
      names = Object.keys(homesOf(engine));
    });

    test("comes to every home, the canary's first, and a second time nothing is done", async () => {
      const store = await openWith(place, TWO);
      const homes = names.length - 1;
      assert.deepEqual(await store.fleet.status(), { declared: 2, shared: 1, homes, behind: 0, contracts: [], foreign: 0 });
      const order: (string | undefined)[] = [];
      const canary = contextOf("s2").tenant.uuid;
      const run = await store.fleet.up({ canary, waveSize: 2, onHome: (tenant) => void order.push(tenant) });
      assert.deepEqual([run.steps, run.homes], [["colour"], homes]);
      assert.deepEqual(order.slice(0, 2), [canary, undefined], "the canary, then the shared rows");
      assert.equal(new Set(order).size, homes + 1);
      assert.deepEqual(
        await colours(store, names),
        names.map((body) => [{ body, colour: "yellow" }]),
      );
      assert.deepEqual(await store.fleet.status(), { declared: 2, shared: 2, homes, behind: 0, contracts: [], foreign: 0 });
      const again = await store.fleet.up({ onHome: () => assert.fail("nothing was left to do") });
      assert.deepEqual([again.steps, again.homes], [[], 0]);
      await store.close();
    });

    test("that only adds leaves the program of the version before working", async () => {
      const store = await openWith(place, NOTES);
      for (const name of names) {
        const data = store.forTenant(contextOf(name));
        await data.query(sql`insert into notes (id, board, body) values ('old', 'board', 'by the old program')`);
        assert.equal((await data.query(sql`select id, board, body, marks from notes`)).count, 2);
        await data.query(sql`delete from notes where id = 'old'`);
      }
      await store.close();
    });

    test("that takes away waits until it is asked for", async () => {
      const store = await openWith(place, THREE);
      assert.deepEqual((await store.fleet.status()).contracts, ["no-marks"]);
      assert.deepEqual((await store.fleet.up()).steps, []);
      for (const name of names) await store.forTenant(contextOf(name)).query(sql`select marks from notes`);
      assert.deepEqual((await store.fleet.up({ contract: true })).steps, ["no-marks"]);
      for (const name of names)
        await assert.rejects(store.forTenant(contextOf(name)).query(sql`select marks from notes`), { name: "Fault" });
      await store.close();
    });

    test("that is not the one that was applied is refused, and nothing is changed", async () => {
      const changed = defineTables([FIRST, { ...SECOND, expand: "alter table notes add column other text" }, THIRD]);
      const store = await openWith(place, changed);
      assert.ok((await store.fleet.status()).foreign > 0);
      await assert.rejects(store.fleet.up(), { code: "conflict" });
      await store.close();
    });

    test("is in a home that is made later", async () => {
      const store = await openWith(place, THREE);
      await store.homes.place(contextOf("late").tenant, "schema");
      await store.forTenant(contextOf("late")).query(sql`insert into boards (id, title) values ('board', 'Board')`);
      await store.forTenant(contextOf("late")).query(sql`insert into notes (id, board, body, colour) values ('n', 'board', 'late', 'red')`);
      assert.deepEqual(await colours(store, ["late"]), [[{ body: "late", colour: "red" }]]);
      assert.equal((await store.fleet.status()).behind, 0);
      assert.deepEqual(await store.fleet.drift(), []);
      await store.close();
    });
  });
});

describe("a step that fails in one home", () => {
  eachEngine((engine) => {
    test("stops there, leaves that home as it was, and goes on where it stopped", async () => {
      const place = await prepare(engine);
      const [database] = await place.administer<{ name: string }>("select current_database() as name");
      const { schema } = homeNames(database?.name ?? "", contextOf("s1").tenant.uuid);
      await place.administer(`alter table ${schema}.notes add column colour integer`);
      const store = await openWith(place, TWO);
      await assert.rejects(store.fleet.up(), (error: Error) => error.message.includes(schema) && error.message.includes("colour"));
      const status = await store.fleet.status();
      assert.equal(status.shared, 2);
      assert.ok(status.behind >= 1 && status.behind < status.homes);
      assert.deepEqual(await colours(store, ["r", "s0"]), [[{ body: "r", colour: "yellow" }], [{ body: "s0", colour: "yellow" }]]);
      const drift = (await store.fleet.drift()).filter(({ tenant }) => tenant === contextOf("s1").tenant.uuid);
      assert.deepEqual(drift.map(({ table, part, found }) => `${found} ${table} ${part}`).toSorted(), [
        "missing notes column colour text",
        "missing notes index CREATE INDEX notes_tenant_id_colour_idx ON notes USING btree (tenant_id, colour)",
        "unexpected notes column colour integer",
      ]);
      await store.close();
      await place.administer(`alter table ${schema}.notes drop column colour`);
      const again = await openWith(place, TWO);
      const { steps, homes } = await again.fleet.up();
      assert.deepEqual([steps, homes], [["colour"], status.behind]);
      assert.equal((await again.fleet.status()).behind, 0);
      assert.deepEqual(await again.fleet.drift(), []);
      assert.deepEqual(await colours(again, ["s1"]), [[{ body: "s1", colour: "yellow" }]]);
    });
  });
});

describe("a process that is killed while it changes the homes", () => {
  test("leaves each home whole, and the next one goes on", async (t) => {
    const engine = createEngine("PostgreSQL");
    t.after(() => engine.close());
    const place = await prepare(engine);
    for (const kills of [1, 2, 3]) {
      const child = spawn(process.execPath, [PROGRAM, JSON.stringify(place.location)], { stdio: ["ignore", "pipe", "inherit"] });
      const exit = once(child, "exit");
      let told = 0;
      for await (const line of createInterface({ input: child.stdout })) if (line !== "" && ++told === kills) child.kill("SIGKILL");
      await exit;
    }
    const store = await openWith(place, TWO);
    await store.fleet.up();
    const names = Object.keys(homesOf(engine));
    assert.deepEqual(
      await colours(store, names),
      names.map((body) => [{ body, colour: "yellow" }]),
    );
    assert.deepEqual(await store.fleet.drift(), []);
  });
});
