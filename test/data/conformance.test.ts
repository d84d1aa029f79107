import assert from "node:assert/strict";
import { before, describe, test } from "node:test";
import { Fault } from "../../src/kernel/index.ts";
import { type DataStore, type Queryable, sql } from "../../src/stores/data/index.ts";
import { eachModel } from "../support/engines.ts";
import { DOCUMENTS, SESSION, storeTwoTenants, type TwoTenants } from "../support/tenant-rows.ts";
import { assertNoCanary, CANARY, contextOf } from "../support/tenants.ts";

const A = contextOf("a").tenant.uuid;
const B = contextOf("b").tenant.uuid;

async function titles(data: Queryable): Promise<string[]> {
  const { rows } = await data.query<{ title: string }>(sql`select title from documents order by id`);
  return rows.map((row) => row.title);
}

/** The schema and the database in which the tenant's documents are. */
async function placeOf(data: Queryable): Promise<{ readonly schema: string; readonly database: string } | undefined> {
  const { rows } = await data.query<{ schema: string; database: string }>(sql`
    select distinct c.relnamespace::regnamespace::text as schema, current_database()::text as database
    from documents d join pg_class c on c.oid = d.tableoid`);
  assert.equal(rows.length, 1);
  return rows[0];
}

describe("the data store", () => {
  eachModel((engine, model) => {
    let store: DataStore;
    let two: TwoTenants;

    before(async () => {
      store = await engine.open();
      two = await storeTwoTenants(store, model);
    });

    test("a tenant's rows lie where its model says, and nowhere else", async () => {
      const places = await Promise.all([two.a, two.b].map((data) => placeOf(data)));
      const [a, b] = places;
      assert.ok(a && b);
      assert.equal(a.schema === "freehold", model !== "schema");
      assert.equal(a.schema === b.schema, model !== "schema");
      assert.equal(a.database === b.database, model !== "database");
      const { rows } = await store.system.query<{ database: string }>(sql`select current_database()::text as database`);
      assert.equal(a.database === rows[0]?.database, model !== "database");
    });

    test("each tenant reads its own rows under ids that both have", async () => {
      assert.deepEqual(await titles(two.a), ["title 1", "title 2", "title 3"]);
      assert.deepEqual(
        await titles(two.b),
        ["title 1", "title 2", "title 3"].map((title) => `${title} ${CANARY}`),
      );
    });

    test("the handles of two tenants give each its own rows through one prepared statement, in any order", async () => {
      for (const data of [two.a, two.b, two.b, two.a, two.a, two.b]) {
        for (const title of await titles(data)) assert.equal(title.includes(CANARY), data === two.b);
      }
    });

    test("a row can be added, changed and removed, and the count says how many", async () => {
      const added = await two.a.query(sql`insert into users (tenant_id, id, name, roles) values (${A}, 'user-2', 'Bo', ${["admin"]})`);
      const changed = await two.a.query(sql`update users set name = 'Bob' where id = 'user-2'`);
      const removed = await two.a.query<{ name: string }>(sql`delete from users where id = 'user-2' returning name`);
      assert.deepEqual([added.count, changed.count, removed.count, removed.rows[0]?.name], [1, 1, 1, "Bob"]);
    });

    test("changing every row changes only the tenant's own", async () => {
      const changed = await two.a.query(sql`update documents set body = 'changed'`);
      assert.equal(changed.count, DOCUMENTS);
      const { rows } = await two.b.query<{ body: string }>(sql`select body from documents`);
      assert.deepEqual(new Set(rows.map((row) => row.body)), new Set([`body ${CANARY}`]));
    });

    test("a row can neither be added to another tenant nor moved to it", async () => {
      const insert = two.a.query(sql`insert into users (tenant_id, id, name, roles) values (${B}, 'spy', 'Spy', '{}')`);
      await assert.rejects(insert, { code: "forbidden" });
      await assert.rejects(two.a.query(sql`update documents set tenant_id = ${B} where id = 'doc-1'`), { code: "forbidden" });
      assert.equal((await titles(two.a)).length, DOCUMENTS);
    });

    test("what is unique is unique in one tenant, and a conflict names nothing of another", async () => {
      const taken = two.a.query(sql`insert into users (tenant_id, id, name, roles) values (${A}, 'user-1', 'Ann', '{}')`);
      await assert.rejects(taken, (error: unknown) => {
        assert.ok(error instanceof Fault);
        assert.equal(error.code, "conflict");
        assert.deepEqual(error.public, {});
        assertNoCanary(error);
        return true;
      });
      // the e-mail address of b's user is free in a
      const same = await two.a.query(
        sql`insert into users (tenant_id, id, email, name, roles) values (${A}, 'user-3', ${`ann@example.com ${CANARY}`}, 'A', '{}')`,
      );
      assert.equal(same.count, 1);
      await two.a.query(sql`delete from users where id = 'user-3'`);
    });

    test("a reference leads to a row of the same tenant", async () => {
      await two.b.query(sql`insert into sessions (tenant_id, id, user_id, platform) values (${B}, 'only-b', 'user-1', 'web')`);
      const message = sql`insert into messages (tenant_id, session_id, seq, id, role, body) values (${A}, 'only-b', 1, ${A}, 'user', 'x')`;
      await assert.rejects(two.a.query(message), { code: "conflict" });
      await two.a.query(sql`delete from sessions where id = ${SESSION}`);
      const { count } = await two.b.query(sql`select from messages where session_id = ${SESSION}`);
      assert.equal(count, 1, "removing a's session left the messages of b's session of the same id");
    });

    test("what one tenant is answered holds no byte of the other", async () => {
      for (const table of [
        await two.a.query(sql`select * from users`),
        await two.a.query(sql`select * from documents`),
        await two.a.query(sql`select * from sessions`),
        await two.a.query(sql`select * from messages`),
        await two.a.query(sql`select d, (select json_agg(u) from users u) from documents d`),
      ]) {
        assertNoCanary(table);
      }
    });
  });
});

describe("a transaction", () => {
  eachModel((engine, model) => {
    let store: DataStore;
    let two: TwoTenants;

    before(async () => {
      store = await engine.open();
      two = await storeTwoTenants(store, model);
    });

    const name = async (data: Queryable): Promise<string | undefined> => {
      const { rows } = await data.query<{ name: string }>(sql`select name from users where id = 'user-1'`);
      return rows[0]?.name;
    };

    test("stores all of it", async () => {
      const result = await two.a.transaction(async (tx) => {
        await tx.query(sql`update users set name = 'Stored'`);
        assert.equal(await name(tx), "Stored");
        return "result";
      });
      assert.equal(result, "result");
      assert.equal(await name(two.a), "Stored");
    });

    test("stores nothing when its work throws, and throws the same", async () => {
      const thrown = new Fault("not_found", "changed my mind");
      const work = two.a.transaction(async (tx) => {
        await tx.query(sql`update users set name = 'Not stored'`);
        throw thrown;
      });
      await assert.rejects(work, (error) => error === thrown);
      assert.equal(await name(two.a), "Stored");
    });

    test("gives the faults of the store inside it", async () => {
      const work = two.a.transaction(async (tx) => {
        await assert.rejects(tx.query(sql`insert into users (tenant_id, id, name, roles) values (${A}, 'user-1', 'x', '{}')`), {
          name: "Fault",
          code: "conflict",
        });
        throw new Fault("conflict", "taken");
      });
      await assert.rejects(work, { message: "taken" });
    });

    test("is never reported as stored when one of its statements failed, even if the work went on", async () => {
      const caught = two.a.transaction(async (tx) => {
        await tx.query(sql`update users set name = 'Lost'`);
        await tx.query(sql`select 1 / ${0}::integer`).catch(() => undefined);
      });
      await assert.rejects(caught, { name: "Fault", code: "internal" });
      const unawaited = two.a.transaction(async (tx) => {
        await tx.query(sql`update users set name = 'Lost'`);
        tx.query(sql`select 1 / ${0}::integer`).catch(() => undefined);
      });
      await assert.rejects(unawaited, { name: "Fault", code: "internal" });
      assert.equal(await name(two.a), "Stored");
    });

    test("cannot be used after it has ended, whether stored or not", async () => {
      const kept: Queryable[] = [];
      await two.a.transaction(async (tx) => void kept.push(tx));
      await assert.rejects(
        two.a.transaction(async (tx) => {
          kept.push(tx);
          throw new Error("no");
        }),
      );
      assert.equal(kept.length, 2);
      for (const handle of kept) await assert.rejects(handle.query(sql`update users set name = 'Late'`), { name: "Fault" });
      assert.equal(await name(two.a), "Stored");
    });

    test("runs again when it lost a race, and is stored once", async () => {
      let meet: (() => void) | undefined;
      const met = new Promise<void>((resolve) => (meet = resolve));
      let arrived = 0;
      const attempts = { first: 0, second: 0 };
      const run = async (who: "first" | "second", ids: readonly [string, string]): Promise<void> => {
        await two.a.transaction(async (tx) => {
          attempts[who]++;
          await tx.query(sql`update documents set body = body || ${`+${who}`} where id = ${ids[0]}`);
          if (++arrived === 2 || engine.name === "PGlite") meet?.();
          await met; // both hold one row and want the other's; PGlite has one session and so no races
          await tx.query(sql`update documents set body = body || ${`+${who}`} where id = ${ids[1]}`);
        });
      };
      await Promise.all([run("first", ["doc-1", "doc-2"]), run("second", ["doc-2", "doc-1"])]);
      // the loser may lose again: it is let in before the winner has woken up
      const tries = attempts.first + attempts.second;
      assert.ok(engine.name === "PGlite" ? tries === 2 : tries > 2, String(tries));
      const { rows } = await two.a.query<{ body: string }>(sql`select body from documents where id <> 'doc-3'`);
      for (const { body } of rows) assert.deepEqual(body.split("+").slice(1).toSorted(), ["first", "second"]);
    });

    test("fifty at once each see their own tenant only", async () => {
      const handles = Array.from({ length: 50 }, (_, at) => ({ data: at % 2 === 0 ? two.a : two.b, uuid: at % 2 === 0 ? A : B, at }));
      await Promise.all(
        handles.map(async ({ data, uuid, at }) => {
          await data.transaction(async (tx) => {
            const id = `at-once-${at}`;
            await tx.query(sql`insert into freehold.counters (tenant_id, name, value) values (${uuid}, ${id}, ${at})`);
            const { rows } = await tx.query<{ tenant_id: string; name: string }>(sql`select tenant_id, name from freehold.counters`);
            assert.ok(rows.some((row) => row.name === id));
            assert.deepEqual(new Set(rows.map((row) => row.tenant_id)), new Set([uuid]));
          });
        }),
      );
      for (const data of [two.a, two.b]) assert.equal((await data.query(sql`select from freehold.counters`)).count, 25);
    });
  });
});
