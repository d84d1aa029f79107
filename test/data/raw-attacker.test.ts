import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { after, before, describe, test } from "node:test";
import pg from "pg";
import { createDataStore, type DataStore, sql } from "../../src/stores/data/index.ts";
import { testPorts } from "../support/data-ports.ts";
import { freshDatabase, freshDatabaseOfOwner } from "../support/databases.ts";
import { DOCUMENTS, storeTwoTenants, type TwoTenants } from "../support/tenant-rows.ts";
import { assertNoCanary, CANARY, contextOf } from "../support/tenants.ts";
import { CLOSED_WRITES, PRYING_STATEMENTS } from "./hostile-statements.ts";
import { written } from "./written-statement.ts";

const A = contextOf("a").tenant.uuid;
const B = contextOf("b").tenant.uuid;
const STEAL = "select * from freehold.documents";

/** Scripts that each end in a look at all documents. They are sent as whole statements, one by one, within tenant a's transaction. */
const ESCAPES: readonly (readonly string[])[] = [
  ["set row_security = off"],
  ["set local row_security = off"],
  ["reset role"],
  ["set role none"],
  ["set role @owner"],
  ["set role @system"],
  ["set session authorization @owner"],
  ["alter role @app superuser"],
  ["alter role @app bypassrls"],
  ["grant @owner to @app"],
  ["alter table freehold.documents disable row level security"],
  ["alter table freehold.documents owner to @app"],
  ["drop policy tenant on freehold.documents"],
  ["create policy mine on freehold.documents using (true)"],
  ["create or replace function freehold.tenant() returns uuid language sql as $$ select null::uuid $$"],
  ["alter function freehold.tenant() rename to gone"],
  [
    "create function pg_temp.current_setting(text, boolean) returns text language sql as $$ select '@b' $$",
    "set search_path = pg_temp, pg_catalog",
  ],
  [
    "create schema mine",
    "create function mine.tenant() returns uuid language sql as $$ select '@b'::uuid $$",
    "set search_path = mine, freehold",
  ],
  [
    "create function pg_temp.eq(uuid, uuid) returns boolean language sql as 'select true'",
    "create operator pg_temp.= (leftarg = uuid, rightarg = uuid, function = pg_temp.eq)",
    "set search_path = pg_temp, freehold",
  ],
  [
    "create function pg_temp.leak(x text) returns boolean language plpgsql cost 0.0000001 as $$ begin raise notice '%', x; return true; end $$",
    "select * from freehold.documents where pg_temp.leak(body)",
  ],
  ["create temp view mine as select * from freehold.documents", "select * from mine"],
  ["create table freehold.mine as select * from freehold.documents"],
  ["create temp table mine as select * from freehold.documents", "select * from mine"],
  ["truncate freehold.documents"],
  ["lock table freehold.documents in access exclusive mode"],
  ["select * from freehold_private.context_key"],
  ["update freehold_private.context_key set inner_pad = ''"],
  ["select * from freehold.tenant_secrets"],
  ["select * from freehold.api_keys"],
  ["select pg_read_file('/etc/passwd')"],
  ["copy (select 1) to program 'id'"],
  ["copy freehold.documents to '/tmp/stolen'"],
  ["set session_replication_role = replica"],
  ["alter system set row_security = off"],
  ["alter database @database set row_security = off"],
  ["create extension dblink"],
  ["do $$ begin execute 'set local role @owner'; end $$"],
];

/** Ways to name tenant b instead. What they reach depends on how the tenant is known. */
function impersonations(forged: string): readonly (readonly string[])[] {
  return [
    [`set app.tenant_id = '${forged}'`],
    [`set local app.tenant_id = '${forged}'`],
    [`set session app.tenant_id = '${forged}'`, "commit", "begin"],
    [`select set_config('app.tenant_id', '${forged}', true)`],
    [`with s as materialized (select set_config('app.tenant_id', '${forged}', true)) select d.* from s, freehold.documents d`],
    ["reset all", `select freehold.enter('${forged}')`],
    ["commit", "begin", `select freehold.enter('${forged}')`],
    ["savepoint s", `set local app.tenant_id = '${forged}'`, STEAL, "rollback to s"],
    [`do $$ begin perform set_config('app.tenant_id', '${forged}', true); end $$`],
  ];
}

/** A database in which somebody holds a connection of the application's own role. */
interface Break {
  readonly url: string;
  readonly store: DataStore;
  readonly two: TwoTenants;
  /** Sends the statements in a transaction that entered tenant a, then looks at all documents; gives all that came back. */
  run(statements: readonly string[]): Promise<string>;
}

async function breakIn(url: string, context: string): Promise<Break> {
  const store = await createDataStore({ kind: "postgres", url, connectionsMax: 4 }, testPorts());
  const two = await storeTwoTenants(store);
  const database = new URL(url).pathname.slice(1);
  const fill = (text: string): string =>
    text
      .replaceAll(/@(app|owner|system)\b/g, `${database}_$1`)
      .replaceAll("@database", database)
      .replaceAll("@b", B);
  const run = async (statements: readonly string[]): Promise<string> => {
    const client = new pg.Client({ connectionString: appUrl(url) });
    const seen: string[] = [];
    client.on("notice", (notice) => seen.push(notice.message ?? ""));
    await client.connect();
    for (const text of ["begin", `select freehold.enter('${context}')`, ...statements.map(fill), STEAL]) {
      try {
        await client.query("savepoint each").catch(() => undefined);
        seen.push(JSON.stringify(await client.query({ text, values: [] })));
      } catch (error) {
        seen.push(
          error instanceof pg.DatabaseError
            ? JSON.stringify([error.code, error.message, error.detail, error.hint, error.where])
            : String(error),
        );
        await client.query("rollback to each").catch(() => undefined);
      }
    }
    await client.query("rollback");
    await client.end();
    return seen.join("\n");
  };
  return { url, store, two, run };
}

function appUrl(of: string): string {
  const url = new URL(of);
  url.username = `${url.pathname.slice(1)}_app`;
  url.password = testPorts().keyring.key("database-password-app").toString("base64url");
  return url.href;
}

function signed(uuid: string): string {
  return `${uuid}.${createHmac("sha256", testPorts().keyring.key("database-context")).update(uuid).digest("hex")}`;
}

async function assertWhole({ two }: Break): Promise<void> {
  for (const data of [two.a, two.b]) assert.equal((await data.query(sql`select from freehold.documents`)).count, DOCUMENTS);
}

describe("a connection of the application's own role, where set_config is closed", () => {
  let held: Break;

  before(async () => {
    held = await breakIn(await freshDatabase(), A);
  });
  after(() => held.store.close());

  for (const statements of ESCAPES) {
    test(`shows and changes nothing of another tenant after ${statements[0] ?? ""}`, async () => {
      assertNoCanary(await held.run(statements));
      await assertWhole(held);
    });
  }

  test("is as good as all tenants' data to whoever can send it whole statements: the setting can be SET", async () => {
    // by design: such a connection is the gateway itself. A tenant's handle never sends SET (see the statements that it refuses)
    assert.ok((await held.run([`set local app.tenant_id = '${B}'`])).includes(CANARY));
    assert.ok((await held.run(["commit", "begin", `select freehold.enter('${B}')`])).includes(CANARY));
    // what a single statement can do is no more than through the handle
    assertNoCanary(await held.run([`select set_config('app.tenant_id', '${B}', true)`]));
    assertNoCanary(
      await held.run([`with s as materialized (select set_config('app.tenant_id', '${B}', true)) select d.* from s, freehold.documents d`]),
    );
    assertNoCanary(await held.run([`select freehold.enter('${B}')`]));
  });

  test("without a tenant sees no row at all", async () => {
    const client = new pg.Client({ connectionString: appUrl(held.url) });
    await client.connect();
    for (const setting of ["", "''"]) {
      if (setting) await client.query(`set app.tenant_id = ${setting}`);
      assert.equal((await client.query(STEAL)).rowCount, 0);
      assert.equal((await client.query("delete from freehold.documents")).rowCount, 0);
    }
    await client.end();
    await assertWhole(held);
  });

  test("cannot see or end other sessions", async () => {
    const found = await held.run([
      "select pg_terminate_backend(pid) from pg_stat_activity",
      "select * from pg_stat_activity",
      "select pg_cancel_backend(1)",
      "select pg_advisory_lock(1)",
    ]);
    assert.equal(found.match(/"42501"/g)?.length, 4, found);
  });
});

describe("a connection of the application's own role, where the tenant is signed", () => {
  let held: Break;

  before(async () => {
    held = await breakIn(await freshDatabaseOfOwner(), signed(A));
  });
  after(() => held.store.close());

  test("belongs to a database whose administrator is no superuser, which can be started again", async () => {
    const again = await createDataStore({ kind: "postgres", url: held.url, connectionsMax: 2 }, testPorts());
    const { rows } = await again.forTenant(contextOf("a")).query<{ mode: string }>(sql`select freehold.context_mode() as mode`);
    assert.equal(rows[0]?.mode, "signed");
    await again.close();
    const asApp = await createDataStore({ kind: "postgres", url: appUrl(held.url), connectionsMax: 2 }, testPorts());
    assert.equal((await asApp.forTenant(contextOf("a")).query(sql`select from freehold.documents`)).count, DOCUMENTS);
    await asApp.close();
  });

  for (const statements of ESCAPES) {
    test(`shows and changes nothing of another tenant after ${statements[0] ?? ""}`, async () => {
      assertNoCanary(await held.run(statements));
      await assertWhole(held);
    });
  }

  test("cannot name another tenant by whole statements either: it has no key to sign with", async () => {
    const mac = signed(A).slice(37);
    const forgeries = [
      B,
      `${B}.`,
      `${B}.${mac}`,
      `${B}.${mac.slice(0, 2)}`,
      `${B}.zz`,
      `${B}${mac}`,
      `${signed(A)}${B}`,
      `${B}.${"0".repeat(64)}`,
    ];
    for (const forged of [...forgeries, B.toUpperCase(), `{${B}}`, ` ${B}`, "%", "null"]) {
      for (const statements of impersonations(forged)) assertNoCanary(await held.run([...statements, STEAL]));
    }
  });

  test("cannot make its role start with another tenant", async () => {
    const found = await held.run([`alter role @app set app.tenant_id = '${B}'`, "commit", "show app.tenant_id"]);
    assert.match(found, /"42501"/);
    assertNoCanary(await held.run([]));
    await (await createDataStore({ kind: "postgres", url: held.url, connectionsMax: 2 }, testPorts())).close();
  });

  test("finds no text of a session's signed tenants but its own", async () => {
    await held.two.b.query(sql`select title from freehold.documents where body = ${"x"}`);
    const found = await held.run(["select * from pg_stat_activity", "select * from pg_prepared_statements", "select * from pg_settings"]);
    assertNoCanary(found);
    assert.ok(!found.includes(signed(B)) && !found.includes(B));
  });
});

describe("a tenant's handle where the tenant is signed", () => {
  let held: Break;

  before(async () => {
    held = await breakIn(await freshDatabaseOfOwner(), signed(A));
  });
  after(() => held.store.close());

  const attempt = async (text: string): Promise<unknown> => {
    try {
      return await held.two.a.query(written(text));
    } catch (error) {
      return error;
    }
  };

  test("shows nothing of another tenant, whatever a statement says", async () => {
    for (const text of PRYING_STATEMENTS) assertNoCanary(await attempt(text));
    // the administrator here cannot close the settings
    for (const text of CLOSED_WRITES.filter((each) => !each.includes("pg_settings"))) {
      const found = await attempt(text);
      assert.ok(found instanceof Error, text);
      assertNoCanary(found);
    }
    for (const forged of [B, `${B}.${signed(A).slice(37)}`]) {
      for (const [text = ""] of impersonations(forged).filter(([first]) => /^(select|with)/.test(first ?? ""))) {
        assertNoCanary(await attempt(text));
        if (text.startsWith("with")) continue;
        assertNoCanary(await attempt(`with s as materialized (${text}) select d.* from s, freehold.documents d`));
      }
    }
    for (const text of [
      `select query_to_xml('set local app.tenant_id = ''${B}''', true, true, '')`,
      `select query_to_xml('select set_config(''app.tenant_id'', ''${B}'', true)', true, true, ''), (select string_agg(body, '') from freehold.documents)`,
      "select * from ts_stat('select words from freehold.points')",
      "select table_to_xml('freehold.documents', true, true, '')",
      "select schema_to_xml('freehold', true, true, '')",
      "select database_to_xml(true, true, '')",
    ]) {
      assertNoCanary(await attempt(text));
    }
    await assertWhole(held);
  });

  test("cannot make the next tenant's statement its own by leaving a setting on the connection", async () => {
    for (let times = 0; times < 8; times++) {
      await attempt("select set_config('app.tenant_id', current_setting('app.tenant_id'), false)");
      const { rows } = await held.two.b.query<{ tenant_id: string }>(sql`select tenant_id from freehold.documents`);
      assert.deepEqual(new Set(rows.map((row) => row.tenant_id)), new Set([B]));
      await held.two.b.transaction(async (tx) => {
        assert.equal((await tx.query(sql`select from freehold.documents`)).count, DOCUMENTS);
      });
    }
  });

  test("cannot keep rows in a temporary table for another to find", async () => {
    await assert.rejects(held.two.b.query(written("select * into temp kept from freehold.documents")), { name: "Fault" });
    assertNoCanary(await attempt("select * from pg_temp.kept"));
  });
});
