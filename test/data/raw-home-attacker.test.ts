import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import pg from "pg";
import { type DataModel, createKeyring } from "../../src/kernel/index.ts";
import type { DataStore } from "../../src/stores/data/index.ts";
import { homeNames, homePassword } from "../../src/stores/data/home.ts";
import { rolesOf } from "../../src/stores/data/roles.ts";
import { createEngine, type Place } from "../support/engines.ts";
import { DOCUMENTS, storeTwoTenants, type TwoTenants } from "../support/tenant-rows.ts";
import { assertNoCanary, contextOf } from "../support/tenants.ts";
import { sql } from "../../src/stores/data/index.ts";

const A = contextOf("a").tenant.uuid;
const B = contextOf("b").tenant.uuid;
const KEYRING = createKeyring(Buffer.alloc(32, 7));

/** Statements with which whoever holds tenant a's own login tries to leave its home. `@x` stands for names of the installation. */
const ESCAPES: readonly string[] = [
  "select * from @bschema.documents",
  "select * from @bschema.users u join documents d on true",
  "set search_path = @bschema; select * from documents",
  "set role @blogin; select * from @bschema.documents",
  "set role @bowner; select * from @bschema.documents",
  "set session authorization @blogin; select * from @bschema.documents",
  "set role @aowner; select * from @bschema.documents",
  "set role @tenants; select * from freehold.counters",
  "set role @owner; select * from freehold.documents",
  "set role @app; select * from freehold.documents",
  "set role @system; select * from freehold.audit_entries",
  "set app.tenant_id = '@b'; select * from freehold.audit_entries",
  "set app.tenant_id = '@b'; select * from freehold.documents",
  "set app.tenant_id = '@b'; select * from freehold.counters",
  "select set_config('app.tenant_id', '@b', false); select * from freehold.counters",
  "select freehold.enter('@b'); select * from freehold.counters",
  "select * from freehold.documents",
  "select * from freehold.homes",
  "select * from freehold.tenants",
  "select * from freehold.moves",
  "select * from freehold_private.move_log",
  "select * from freehold.api_keys",
  "select * from freehold_private.context_key",
  "select * from freehold.dead_letters",
  "select * from freehold.counters",
  "insert into freehold.counters (tenant_id, name, value) values ('@b', 'spy', 1)",
  "update freehold.counters set value = 0",
  "insert into freehold.outbox (tenant_id, id, topic, partition_key, envelope) values ('@b', gen_random_uuid(), 'x', 'x', 'x')",
  "insert into @bschema.documents (tenant_id, id, title, body, created_by) values ('@b', 'spy', '', '', '')",
  "delete from @bschema.documents",
  "truncate @bschema.documents",
  "drop schema @bschema cascade",
  "alter schema @bschema owner to @alogin",
  "grant usage on schema @bschema to @alogin",
  "grant @bowner to @alogin",
  "alter role @alogin superuser",
  "alter role @blogin password 'mine'",
  "create schema mine",
  "create table public.mine (a text)",
  "create temp table mine as select * from documents",
  "create function pg_temp.tenant() returns uuid language sql as $$ select '@b'::uuid $$",
  "create or replace function @aschema.tenant() returns uuid language sql as $$ select '@b'::uuid $$",
  "alter table documents drop constraint tenant_only",
  "alter table documents owner to @alogin",
  "insert into documents (tenant_id, id, title, body, created_by) values ('@b', 'spy', '', '', '')",
  "update documents set tenant_id = '@b'",
  "copy @bschema.documents to stdout",
  "copy (select 1) to program 'id'",
  "select pg_read_file('/etc/passwd')",
  "select pg_terminate_backend(pid) from pg_stat_activity",
  "select query from pg_stat_activity",
  "select pg_advisory_lock(1)",
  "listen freehold_homes; select pg_notify('freehold_homes', '')",
  "do $$ begin execute 'set role @bowner'; end $$",
  "create extension dblink",
  "select * from pg_stats where schemaname = '@bschema'",
];

interface Held {
  readonly place: Place;
  readonly store: DataStore;
  readonly two: TwoTenants;
  fill(text: string): string;
  url(tenant: string, database?: string): string;
}

async function hold(engine: ReturnType<typeof createEngine>, model: DataModel): Promise<Held> {
  const place = await engine.place();
  const store = await place.open();
  const two = await storeTwoTenants(store, model);
  for (const [data, value] of [[two.a, 1] as const, [two.b, 2] as const]) {
    const uuid = value === 1 ? A : B;
    await data.query(
      sql`insert into freehold.counters (tenant_id, name, value) values (${uuid}, ${value === 1 ? "own" : "CANARY-name"}, ${value})`,
    );
  }
  assert.ok(place.location.kind === "postgres");
  const base = place.location.url;
  const database = new URL(base).pathname.slice(1);
  const roles = rolesOf(database);
  const [a, b] = [homeNames(database, A), homeNames(database, B)];
  const named: Record<string, string> = {
    aschema: a.schema,
    aowner: a.owner,
    alogin: a.login,
    bschema: b.schema,
    bowner: b.owner,
    blogin: b.login,
    tenants: roles.tenants,
    owner: roles.owner,
    app: roles.app,
    system: roles.system,
    b: B,
  };
  return {
    place,
    store,
    two,
    fill: (text) => text.replaceAll(/@(\w+)/g, (whole, name: string) => named[name] ?? whole),
    url: (tenant, other) => {
      const url = new URL(base);
      const names = homeNames(database, tenant);
      url.username = model === "schema" ? names.login : rolesOf(names.database).app;
      url.password = homePassword(KEYRING, tenant, model === "schema" ? "login" : "app");
      url.pathname = `/${other ?? (model === "schema" ? database : names.database)}`;
      return url.href;
    },
  };
}

/** Everything that came back of these statements, sent one after the other. */
async function send(url: string, searchPath: string, texts: readonly string[]): Promise<string> {
  const client = new pg.Client({ connectionString: url, options: `-c search_path=${searchPath}` });
  client.on("error", () => {});
  const seen: string[] = [];
  client.on("notice", (notice) => seen.push(notice.message ?? ""));
  await client.connect();
  for (const text of texts) {
    try {
      seen.push(JSON.stringify(await client.query({ text, values: [] })));
    } catch (error) {
      seen.push(error instanceof pg.DatabaseError ? JSON.stringify([error.code, error.message, error.detail, error.where]) : String(error));
    }
  }
  await client.end();
  return seen.join("\n");
}

describe("the login of a tenant with a schema of its own, in the wrong hands", () => {
  const engine = createEngine("PostgreSQL");
  let held: Held;
  let whole: string;

  before(async () => {
    held = await hold(engine, "schema");
    whole = await everythingOf(held.two);
  });
  after(() => engine.close());

  test("reads its own rows, so that what follows is tried with a login that works", async () => {
    const found = await send(held.url(A), held.fill("@aschema,freehold"), [
      "select count(*)::int as n from documents",
      "select * from freehold.counters",
    ]);
    assert.match(found, new RegExp(`"n":${DOCUMENTS}`));
    assert.match(found, /"own"/);
  });

  for (const escape of ESCAPES) {
    test(`shows and changes nothing of another tenant after ${escape}`, async () => {
      const found = await send(held.url(A), held.fill("@aschema,freehold"), [
        ...held.fill(escape).split("; "),
        "select * from documents",
        "select * from freehold.counters",
      ]);
      assertNoCanary(found);
      assert.ok(!found.includes("CANARY-name"), found);
      assert.equal(await everythingOf(held.two), whole);
    });
  }

  test("opens no schema but its own", async () => {
    const found = await send(held.url(B), held.fill("@aschema,freehold"), [
      "select * from documents",
      held.fill("select * from @aschema.documents"),
    ]);
    assert.equal(found.match(/"42P01"|"42501"/g)?.length, 2, found);
  });
});

describe("the login of a tenant with a database of its own, in the wrong hands", () => {
  const engine = createEngine("PostgreSQL");
  let held: Held;

  before(async () => {
    held = await hold(engine, "database");
  });
  after(() => engine.close());

  test("opens its own database, and neither the installation's nor another tenant's", async () => {
    const own = await send(held.url(A), "freehold", [`select freehold.enter('${A}')`, "select 1 as answered"]);
    assert.match(own, /answered/);
    const database = new URL((held.place.location as { url: string }).url).pathname.slice(1); // a PostgreSQL place, checked in `hold`
    for (const other of [database, homeNames(database, B).database]) {
      await assert.rejects(send(held.url(A, other), "freehold", ["select 1"]), /permission denied for database/);
    }
  });

  test("cannot take another tenant's role, nor change its own rights", async () => {
    const database = new URL((held.place.location as { url: string }).url).pathname.slice(1);
    const b = rolesOf(homeNames(database, B).database);
    const found = await send(held.url(A), "freehold", [
      `set role ${b.app}`,
      `set role ${b.owner}`,
      `set role ${rolesOf(database).app}`,
      `alter role ${b.app} password 'mine'`,
      "alter table freehold.documents disable row level security",
    ]);
    assert.equal(found.match(/"42501"/g)?.length, 5, found);
  });
});

/** All of tenant b's. */
async function everythingOf({ b }: TwoTenants): Promise<string> {
  const { rows } = await b.query(sql`select (select json_agg(d order by id) from documents d) as documents,
    (select json_agg(u order by id) from users u) as users, (select json_agg(c order by name) from freehold.counters c) as counters`);
  return JSON.stringify(rows);
}
