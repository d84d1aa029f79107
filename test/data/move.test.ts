import assert from "node:assert/strict";
import { before, describe, test } from "node:test";
import type { DataModel, Fault } from "../../src/kernel/index.ts";
import { createDataStore, type DataStore, sql, type TenantData } from "../../src/stores/data/index.ts";
import { testPorts } from "../support/data-ports.ts";
import { NOTES } from "../support/declared-tables.ts";
import { createEngine, eachEngine, type Engine, type Place } from "../support/engines.ts";
import { startNoteWriters } from "../support/note-writers.ts";
import { storeTwoTenants, type TwoTenants } from "../support/tenant-rows.ts";
import { assertNoCanary, contextOf } from "../support/tenants.ts";

const A = contextOf("a").tenant;
const B = contextOf("b").tenant;
const NOTES_EACH = 400;

/** Every way from one model to another. */
function ways(engine: Engine): readonly (readonly [DataModel, DataModel])[] {
  const models: readonly DataModel[] = engine.name === "PGlite" ? ["row", "schema"] : ["row", "schema", "database"];
  return models.flatMap((from) => models.filter((to) => to !== from).map((to) => [from, to] as const));
}

/** What any store here has reported. */
const reports: Fault[] = [];
const PORTS = { ...testPorts(reports), tables: NOTES };

async function openStore(place: Place): Promise<DataStore> {
  return await place.open({ ports: PORTS });
}

/** A second process's store, where the engine has room for one. */
async function openSecond({ location }: Place): Promise<DataStore | undefined> {
  return location.kind === "postgres" ? await createDataStore(location, PORTS) : undefined;
}

/** Rows whose values go through every kind of column, also those that look like something else. */
async function storeNotes(data: TenantData): Promise<void> {
  await data.query(sql`insert into boards (id, title) values ('board', 'Board')`);
  await data.query(sql`insert into notes (id, board, body, marks)
    select 'note-' || n, 'board', e'line\nand\ttab, "quote" \\ (x,) {} ' || n, jsonb_build_object('n', n, 'null', null)
    from generate_series(1, ${NOTES_EACH}::integer) n`);
  await data.query(sql`insert into notes (id, board, body, marks) values (${'odd "id" \\ \n,()'}, 'board', '', 'null')`);
}

async function everythingOf(data: TenantData): Promise<string> {
  const { rows } = await data.query(sql`
    select (select json_agg(d order by id) from documents d) as documents, (select json_agg(u order by id) from users u) as users,
      (select json_agg(s order by id) from sessions s) as sessions, (select json_agg(m order by seq) from messages m) as messages,
      (select json_agg(b order by id) from boards b) as boards, (select json_agg(n order by id) from notes n) as notes,
      (select json_agg(c order by name) from freehold.counters c) as counters`);
  return JSON.stringify(rows);
}

describe("a tenant that is moved", () => {
  eachEngine((engine) => {
    for (const [from, to] of ways(engine)) {
      describe(`from ${from} to ${to}`, () => {
        let place: Place;
        let store: DataStore;
        let second: DataStore | undefined;
        let two: TwoTenants;
        let all: string;
        let others: string;

        before(async () => {
          place = await engine.place();
          store = await openStore(place);
          await store.fleet.up();
          two = await storeTwoTenants(store, from);
          for (const data of [two.a, two.b]) {
            await storeNotes(data);
            const { uuid } = data === two.a ? A : B;
            await data.query(sql`insert into freehold.counters (tenant_id, name, value) values (${uuid}, 'users', 7)`);
          }
          [all, others] = [await everythingOf(two.a), await everythingOf(two.b)];
          second = await openSecond(place);
        });

        test("has all its rows in the new home, and is served there by every process, those of others being where they were", async () => {
          if (second) assert.equal(await everythingOf(second.forTenant(contextOf("a"))), all);
          const report = await store.homes.move(A, to);
          assert.deepEqual([report.source, report.target], [from, to]);
          assert.equal(report.tables.find(({ table }) => table === "notes")?.rows, NOTES_EACH + 1);
          assert.equal(store.homes.modelOf(A), to);
          assert.equal(await everythingOf(two.a), all);
          if (second) assert.equal(await everythingOf(second.forTenant(contextOf("a"))), all);
          assert.equal(store.homes.modelOf(B), from);
          assert.equal(await everythingOf(two.b), others);
        });

        test("is written to in the new home, and a process that has not heard of it writes there too", async () => {
          const [one, other] = [two.a, second?.forTenant(contextOf("a")) ?? two.a];
          await other.query(sql`insert into notes (id, board, body) values ('after', 'board', 'after the move')`);
          await other.transaction(async (tx) => {
            await tx.query(sql`update notes set body = 'changed' where id = 'after'`);
            await tx.query(sql`delete from notes where id = 'note-1'`);
          });
          const { rows } = await one.query(sql`select body from notes where id = 'after' or id = 'note-1'`);
          assert.deepEqual(rows, [{ body: "changed" }]);
          assertNoCanary(await everythingOf(one));
        });

        test("cannot be moved again before the old home is confirmed, and then back, with what was written since", async () => {
          assert.equal((await store.homes.moves()).length, 1);
          await assert.rejects(store.homes.move(A, from), { code: "conflict" });
          await store.homes.confirm(A);
          assert.deepEqual(await store.homes.moves(), []);
          const now = await everythingOf(two.a);
          await store.homes.move(A, from);
          await store.homes.confirm(A);
          assert.equal(await everythingOf(two.a), now);
          if (second) assert.equal(await everythingOf(second.forTenant(contextOf("a"))), now);
          assert.equal(await everythingOf(two.b), others);
          await second?.close();
          await store.close();
          // connections that a home has kept end with it, which is nobody's trouble
          assert.deepEqual(reports, []);
        });

        test("has left nothing in the home that was confirmed", async () => {
          const left = await place.administer(
            to === "row"
              ? `select 1 from freehold.documents where tenant_id = '${A.uuid}' union all select 1 from freehold_app.notes where tenant_id = '${A.uuid}'
                 union all select 1 from pg_trigger where tgname like 'mv\\_%' union all select 1 from freehold_private.fences
                 union all select 1 from freehold_private.move_log`
              : `select 1 from pg_namespace n, pg_tables t where n.nspname like 't\\_%' and t.schemaname = n.nspname and t.tablename = 'notes'
                   and ${from === "schema" ? "false" : "true"}
                 union all select 1 from pg_trigger where tgname like 'mv\\_%' union all select 1 from freehold_private.move_log`,
          );
          assert.deepEqual(left, []);
        });
      });
    }
  });
});

describe("statements that are under way while their tenant moves", () => {
  test("are neither refused nor lost on any of the six ways, in several processes", async (t) => {
    const engine = createEngine("PostgreSQL");
    t.after(() => engine.close());
    const place = await engine.place();
    const store = await openStore(place);
    await store.fleet.up();
    const data = store.forTenant(contextOf("a"));
    await data.query(sql`insert into boards (id, title) values ('board', 'Board')`);
    const writers = await startNoteWriters(place.location, "a", 4);
    for (const model of ["schema", "row", "database", "schema", "database", "row"] as const) {
      await store.homes.move(A, model);
      await store.homes.confirm(A);
      assert.deepEqual(writers.failures, [], `on the way to ${model}`);
    }
    await writers.stop();
    assert.deepEqual(writers.failures, []);
    const { rows } = await data.query<{ id: string; body: string }>(sql`select id, body from notes`);
    const stored = new Map(rows.map(({ id, body }) => [id, body]));
    for (const [id, body] of writers.acknowledged) assert.equal(stored.get(id), body, id);
    t.diagnostic(`${writers.acknowledged.size} notes were written meanwhile`);
  });
});
