import assert from "node:assert/strict";
import { before, describe, test } from "node:test";
import { type DataStore, defineTables, sql, type TableStep } from "../../src/stores/data/index.ts";
import { testPorts } from "../support/data-ports.ts";
import { asAdministrator } from "../support/databases.ts";
import { FIRST, NOTES } from "../support/declared-tables.ts";
import { createEngine, eachModel } from "../support/engines.ts";
import { storeTwoTenants, type TwoTenants } from "../support/tenant-rows.ts";
import { assertNoCanary, contextOf, valueOf } from "../support/tenants.ts";
import { written } from "./written-statement.ts";

const A = contextOf("a").tenant.uuid;
const B = contextOf("b").tenant.uuid;
const NOTES_EACH = 3;

async function storeNotes({ a, b }: TwoTenants): Promise<void> {
  for (const [data, name] of [[a, "a"] as const, [b, "b"] as const]) {
    await data.transaction(async (tx) => {
      await tx.query(sql`insert into boards (id, title) values ('board', ${valueOf(name, "Board")})`);
      for (let at = 1; at <= NOTES_EACH; at++) {
        const body = valueOf(name, `reminder number ${at}`);
        await tx.query(sql`insert into notes (id, board, body, marks) values (${`note-${at}`}, 'board', ${body}, ${{ [`k${at}`]: name }})`);
      }
    });
  }
}

describe("an application's tables", () => {
  eachModel((engine, model) => {
    let store: DataStore;
    let two: TwoTenants;

    before(async () => {
      store = await engine.open({ ports: { ...testPorts(), tables: NOTES } });
      await store.fleet.up();
      two = await storeTwoTenants(store, model);
      await storeNotes(two);
    });

    test("are the same for the application in every model: names without a schema, and the tenant is filled in", async () => {
      const { rows } = await two.a.query<{ tenant_id: string; id: string }>(sql`select tenant_id, id from notes order by id`);
      assert.deepEqual(
        rows,
        ["note-1", "note-2", "note-3"].map((id) => ({ tenant_id: A, id })),
      );
      assertNoCanary(await two.a.query(sql`select n, b from notes n join boards b on b.id = n.board`));
    });

    test("take no row of another tenant", async () => {
      for (const text of [
        `insert into boards (tenant_id, id, title) values ('${B}', 'spy', 'spy')`,
        `update notes set tenant_id = '${B}'`,
        `insert into boards (tenant_id, id, title) values ('${B}', 'board', 'x') on conflict (tenant_id, id) do update set title = 'x'`,
      ]) {
        await assert.rejects(two.a.query(written(text)), { code: "forbidden" }, text);
      }
    });

    test("hold what is unique to one tenant, and references to its own rows", async () => {
      await assert.rejects(two.a.query(sql`insert into boards (id, title) values ('second', 'Board')`), { code: "conflict" });
      await two.b.query(sql`insert into boards (id, title) values ('only-b', 'Only')`);
      await assert.rejects(two.a.query(sql`insert into notes (id, board, body) values ('n', 'only-b', 'x')`), { code: "conflict" });
      await two.a.query(sql`insert into boards (id, title) values ('only-b', 'Only')`);
      await two.a.query(sql`insert into notes (id, board, body) values ('n', 'only-b', 'x')`);
      await two.b.query(sql`delete from boards where id = 'only-b'`);
      assert.equal((await two.a.query(sql`delete from boards where id = 'only-b'`)).count, 1);
      assert.equal((await two.a.query(sql`select from notes where id = 'n'`)).count, 0);
      assert.equal((await two.b.query(sql`select from notes`)).count, NOTES_EACH);
    });

    test("are searched through functions that give the tenant's rows, whatever is asked of them", async () => {
      const found = await two.a.query<{ id: string }>(sql`select id from search_notes_words(to_tsquery('simple', 'reminder & 2'), 10)`);
      assert.deepEqual(found.rows, [{ id: "note-2" }]);
      const marked = await two.a.query<{ id: string }>(sql`select id from search_notes_marks('{"k3": "a"}', 10)`);
      assert.deepEqual(marked.rows, [{ id: "note-3" }]);
      assert.equal((await two.a.query(sql`select from search_notes_words(to_tsquery('simple', 'reminder'), 2)`)).count, 2);
      for (const text of [
        "select * from search_notes_words(to_tsquery('simple', 'reminder | canary:*'), 100)",
        "select * from search_notes_marks('{}', 100)",
        `select * from search_notes_marks('{"k1": "b"}', 100)`,
        `select * from search_notes_words(to_tsquery('simple', 'reminder'), 100) s where s.tenant_id = '${B}' or s.body like '%CANARY%'`,
        `select n from boards b, lateral search_notes_marks('{}', 9) n where b.tenant_id = '${B}' or true`,
      ]) {
        const { rows } = await two.a.query(written(text));
        assertNoCanary(rows);
        assert.ok(!JSON.stringify(rows).includes(B), text);
      }
    });
  });
});

describe("a search in shared rows", () => {
  test("is answered by the index, where the same condition under the policy is not", async (t) => {
    const engine = createEngine("PostgreSQL");
    t.after(() => engine.close());
    const place = await engine.place();
    assert.ok(place.location.kind === "postgres");
    const { url } = place.location;
    const store = await place.open({ ports: { ...testPorts(), tables: NOTES } });
    await store.fleet.up();
    const { a } = await storeTwoTenants(store);
    await a.query(sql`insert into boards (id, title) values ('board', 'Board')`);
    await a.query(sql`insert into notes (id, board, body, marks)
      select 'n' || n, 'board', 'word' || n, jsonb_build_object('k', n) from generate_series(1, 20000) n`);
    await place.administer("vacuum analyze freehold_app.notes");
    const [database] = await place.administer<{ name: string }>("select current_database() as name");
    const plans = async (question: string): Promise<string> => {
      const seen: string[] = [];
      await asAdministrator(url, async (client) => {
        client.on("notice", ({ message }) => seen.push(message ?? ""));
        await client.query(`load 'auto_explain'; set auto_explain.log_min_duration = 0; set auto_explain.log_nested_statements = on;
          set client_min_messages = log; set session authorization ${database?.name ?? ""}_app; set search_path = freehold_app, freehold;
          begin; select freehold.enter('${A}'); ${question}; commit`);
      });
      return seen.join("\n");
    };
    const plain = await plans("select id from notes where words @@ to_tsquery('simple', 'word77')");
    assert.match(plain, /word77/);
    assert.doesNotMatch(plain, /Index Cond: \(words @@/, "the trap is there");
    assert.match(await plans("select id from search_notes_words(to_tsquery('simple', 'word77'), 10)"), /Index Cond: \((?:s\.)?words @@/);
    assert.match(await plans("select id from search_notes_marks('{\"k\": 77}', 10)"), /Index Cond: \((?:s\.)?marks @>/);
  });
});

describe("a declaration", () => {
  const table = (change: object): TableStep => ({
    name: "x",
    create: { things: { columns: { id: "text not null" }, key: ["id"], ...change } },
  });

  for (const [what, step] of [
    ["a table with the platform's name", { name: "x", create: { users: { columns: { id: "text" }, key: ["id"] } } }],
    ["a table that needs quoting", { name: "x", create: { 'a"b': { columns: { id: "text" }, key: ["id"] } } }],
    ["a column of the tenant", table({ columns: { id: "text", tenant_id: "uuid" } })],
    ["a key over nothing", table({ key: [] })],
    ["a key over a column that is not there", table({ key: ["other"] })],
    ["a reference in a column", table({ columns: { id: "text references boards" } })],
    ["numbers that all tenants share", table({ columns: { id: "bigserial" } })],
    ["a second statement in a type", table({ columns: { id: "text); drop table users; --" } })],
    ["a policy", { name: "x", expand: "create policy p on notes using (true)" }],
    ["a table without row security", { name: "x", expand: "alter table notes disable row level security" }],
    ["rights", { name: "x", expand: "grant all on notes to public" }],
    [
      "a function with its owner's rights",
      { name: "x", expand: "create function f() returns int security definer language sql as 'select 1'" },
    ],
    ["a trigger", { name: "x", expand: "create trigger t before insert on notes execute function f()" }],
    ["a table of the platform", { name: "x", expand: "update freehold.tenants set status = 'active'" }],
    ["a table made by hand", { name: "x", expand: "create table loose (a int)" }],
    ["taking away in a step that adds", { name: "x", expand: "alter table notes drop column body" }],
    ["a new name in a step that adds", { name: "x", expand: "alter table notes rename column body to text" }],
    ["a column that older programs do not fill", { name: "x", expand: "alter table notes add column must text not null" }],
    ["something unique over all tenants", { name: "x", expand: "create unique index on notes (body)" }],
    [
      "adding and taking away at once",
      { name: "x", expand: "alter table notes add column c text", contract: "alter table notes drop column body" },
    ],
  ] as const) {
    test(`is refused when it has ${what}, with the step in the message`, () => {
      assert.throws(() => defineTables([FIRST, step]), { code: "invalid_settings", message: /^Tables, step 2 \(x\): / });
    });
  }
});
