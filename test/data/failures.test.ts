import assert from "node:assert/strict";
import { before, describe, test } from "node:test";
import { Fault } from "../../src/kernel/index.ts";
import { type DataStore, sql } from "../../src/stores/data/index.ts";
import { testPorts } from "../support/data-ports.ts";
import { createEngine, eachEngine, type Place } from "../support/engines.ts";
import { DOCUMENTS, storeTwoTenants, type TwoTenants } from "../support/tenant-rows.ts";
import { contextOf } from "../support/tenants.ts";

const A = contextOf("a").tenant.uuid;

/** Long enough for any statement of these tests, short enough to wait for. */
const STATEMENT_TIMEOUT_MS = 1_500;

// counts to ten thousand million without keeping anything
const RUNAWAY = sql`select count(*) from generate_series(1, 100000) a, generate_series(1, 100000) b`;

const KILL_APP = "select pg_terminate_backend(pid) from pg_stat_activity where usename like '%\\_app' and datname = current_database()";
const KILL_LISTENER =
  "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'freehold-listen' and datname = current_database()";

function outboxRow(id: string): ReturnType<typeof sql> {
  return sql`insert into freehold.outbox (tenant_id, id, topic, partition_key, envelope) values (${A}, ${id}, 'topic', 'key', 'sealed')`;
}

/** Breaks the connection that tenants' statements use: PostgreSQL ends it; PGlite ends its thread because of a statement of tenant a. */
async function breakConnections(place: Place, two: TwoTenants): Promise<void> {
  if (place.location.kind === "postgres") await place.administer(KILL_APP);
  else await assert.rejects(two.a.query(RUNAWAY), { code: "dependency_unavailable" });
}

describe("a data store whose engine fails", () => {
  eachEngine((engine) => {
    let place: Place;
    let store: DataStore;
    let two: TwoTenants;
    const reports: Fault[] = [];

    before(async () => {
      place = await engine.place();
      store = await place.open({ statementTimeoutMs: STATEMENT_TIMEOUT_MS, ports: testPorts(reports) });
      two = await storeTwoTenants(store);
    });

    test("ends a statement that runs away, answers the other tenant, and loses nothing", async () => {
      const runaway = assert.rejects(two.a.query(RUNAWAY), {
        name: "Fault",
        code: engine.name === "PGlite" ? "dependency_unavailable" : "overloaded",
      });
      const other = two.b.query(sql`select from freehold.documents`);
      await runaway;
      assert.equal((await other).count, DOCUMENTS);
      assert.equal((await two.a.query(sql`select from freehold.documents`)).count, DOCUMENTS);
    });

    test("answers the next statement after its connection was lost", async () => {
      await breakConnections(place, two);
      const [first] = await Promise.allSettled([two.a.query(sql`select from freehold.documents`)]);
      if (first.status === "rejected") {
        assert.ok(first.reason instanceof Fault);
        assert.equal(first.reason.code, "dependency_unavailable");
      }
      assert.equal((await two.a.query(sql`select from freehold.documents`)).count, DOCUMENTS);
      assert.deepEqual(store.health(), { ok: true });
    });

    test("fails a transaction whose connection is lost in the middle, stores nothing of it, and goes on", async () => {
      for (const swallow of [false, true]) {
        const work = two.a.transaction(async (tx) => {
          await tx.query(sql`update freehold.documents set title = 'half'`);
          if (place.location.kind === "postgres") await place.administer(KILL_APP);
          else await assert.rejects(tx.query(RUNAWAY), { code: "dependency_unavailable" });
          const next = tx.query(sql`update freehold.documents set body = 'half'`);
          await assert.rejects(next, { name: "Fault", code: "dependency_unavailable" });
          await assert.rejects(tx.query(sql`select 1`), { name: "Fault", code: "dependency_unavailable" });
          if (!swallow) throw new Fault("dependency_unavailable", "as it was");
        });
        await assert.rejects(work, { name: "Fault", code: "dependency_unavailable" });
        const { count } = await two.a.query(sql`select from freehold.documents where title = 'half' or body = 'half'`);
        assert.equal(count, 0);
      }
    });

    test("tells of its health in words that name nothing inside", async () => {
      await two.a.query(RUNAWAY).catch(() => undefined);
      const health = store.health();
      if (engine.name === "PGlite")
        assert.deepEqual(health, { ok: false, reason: "The database is not available: dependency_unavailable." });
      else assert.deepEqual(health, { ok: true }, "one statement that takes too long says nothing of the database");
      await two.a.query(sql`select 1`);
      assert.deepEqual(store.health(), { ok: true });
    });

    test("hears notifications, and after the connection was lost says that some may be missing and hears again", async () => {
      const heard: string[] = [];
      let wake: () => void = () => {};
      const next = (): Promise<void> => new Promise((resolve) => (wake = resolve));
      let gap: () => void = () => {};
      const lost = new Promise<void>((resolve) => (gap = resolve));
      const onMessage = (payload: string): void => {
        heard.push(payload);
        wake();
      };
      const end = await store.system.listen("freehold_events", onMessage, () => gap());
      let message = next();
      await two.a.query(outboxRow("018f0000-0000-7000-8000-000000000001"));
      await message;
      if (place.location.kind === "postgres") await place.administer(KILL_LISTENER);
      else await breakConnections(place, two);
      await two.b.query(sql`select 1`);
      await lost;
      message = next();
      await two.a.query(outboxRow("018f0000-0000-7000-8000-000000000002"));
      await message;
      assert.deepEqual(new Set(heard), new Set([""]), "a notification carries no data");
      await end();
      const soFar = heard.length;
      await two.a.query(outboxRow("018f0000-0000-7000-8000-000000000003"));
      await two.a.query(sql`select 1`);
      assert.equal(heard.length, soFar);
    });

    test("keeps the order of the two tenants apart through all of it", async () => {
      for (const [data, name] of [[two.a, "a"] as const, [two.b, "b"] as const]) {
        const { rows } = await data.query<{ tenant_id: string }>(sql`select tenant_id from freehold.documents`);
        assert.deepEqual(new Set(rows.map((row) => row.tenant_id)), new Set([contextOf(name).tenant.uuid]));
      }
      for (const report of reports) assert.equal(report.code, "dependency_unavailable");
    });
  });
});

describe("a transaction that keeps losing", () => {
  eachEngine((engine) => {
    let two: TwoTenants;

    before(async () => {
      const place = await engine.place();
      await (await place.open()).close();
      await place.administer(`create function freehold.lose(state text) returns integer language plpgsql stable as
        $$ begin if state <> '' then raise 'lost' using errcode = state; end if; return 1; end $$`);
      two = await storeTwoTenants(await place.open());
    });

    for (const state of ["40001", "40P01"]) {
      test(`is run again after ${state} and stored once`, async () => {
        let tries = 0;
        await two.a.transaction(async (tx) => {
          tries++;
          await tx.query(sql`update freehold.documents set body = body || '+' where id = 'doc-1'`);
          await tx.query(sql`select freehold.lose(${tries < 3 ? state : ""})`);
        });
        assert.equal(tries, 3);
        const { rows } = await two.a.query<{ body: string }>(sql`select body from freehold.documents where id = 'doc-1'`);
        assert.match(rows[0]?.body ?? "", state === "40001" ? /^body\+$/ : /^body\+\+$/);
      });

      test(`is given up after a few times with a fault that says to try later (${state})`, async () => {
        let tries = 0;
        const work = two.a.transaction(async (tx) => {
          tries++;
          await tx.query(sql`select freehold.lose(${state})`);
        });
        await assert.rejects(work, { name: "Fault", code: "overloaded" });
        assert.equal(tries, 4);
        await assert.rejects(two.a.query(sql`select freehold.lose(${state})`), { name: "Fault", code: "overloaded" });
      });
    }
  });
});

describe("the embedded engine", () => {
  test("never takes a statement that broke it for one that succeeded", async (t) => {
    const engine = createEngine("PGlite");
    t.after(() => engine.close());
    const { a, b } = await storeTwoTenants(await engine.open());
    const deep = sql`update freehold.documents set metadata = case when id = 'doc-3'
      then (repeat('[', 3000000) || repeat(']', 3000000))::jsonb else '{"half": true}' end`;
    await assert.rejects(a.query(deep), { name: "Fault" });
    await assert.rejects(
      a.transaction(async (tx) => {
        await tx.query(sql`update freehold.documents set title = 'half'`);
        await tx.query(deep);
      }),
      { name: "Fault" },
    );
    const half = await a.query(sql`select from freehold.documents where metadata ? 'half' or title = 'half'`);
    assert.equal(half.count, 0, "nothing of it was stored");
    assert.equal((await b.query(sql`select from freehold.documents`)).count, DOCUMENTS);
  });
});
