import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { before, describe, test } from "node:test";
import { createKeyring, Fault } from "../../src/kernel/index.ts";
import { createDataStore, sql } from "../../src/stores/data/index.ts";
import { testPorts } from "../support/data-ports.ts";
import { freshDatabase } from "../support/databases.ts";
import { createEngine, eachEngine, type Place } from "../support/engines.ts";
import { DOCUMENTS, storeTwoTenants } from "../support/tenant-rows.ts";
import { assertNoCanary, contextOf } from "../support/tenants.ts";

const POLICY = "create policy tenant on freehold.documents for all to @app using";

/** What somebody with too many rights could do to the database, and what takes it back. `@app` and the like stand for names. */
const TAMPERINGS: readonly (readonly [what: string, done: string, undone: string])[] = [
  [
    "row security is off on a table",
    "alter table freehold.documents disable row level security",
    "alter table freehold.documents enable row level security",
  ],
  [
    "row security is not forced on a table",
    "alter table freehold.users no force row level security",
    "alter table freehold.users force row level security",
  ],
  [
    "a policy lets everything through",
    `drop policy tenant on freehold.documents; ${POLICY} (true)`,
    `drop policy tenant on freehold.documents; ${POLICY} (tenant_id = freehold.tenant()) with check (tenant_id = freehold.tenant())`,
  ],
  [
    "a policy lets everything be written",
    "alter policy tenant on freehold.documents with check (true)",
    "alter policy tenant on freehold.documents with check (tenant_id = freehold.tenant())",
  ],
  [
    "a second policy opens what the first closes",
    "create policy more on freehold.messages for select using (true)",
    "drop policy more on freehold.messages",
  ],
  [
    "the policy of the table that is tried out lets everything through",
    "alter policy tenant on freehold.isolation_probe using (true)",
    "alter policy tenant on freehold.isolation_probe using (tenant_id = freehold.tenant())",
  ],
  ["a table without row security is granted", "grant select on freehold.api_keys to @app", "revoke select on freehold.api_keys from @app"],
  [
    "one column of a table without row security is granted",
    "grant select (document) on freehold.tenants to @app",
    "revoke select (document) on freehold.tenants from @app",
  ],
  [
    "a view shows all rows with its owner's rights",
    "create view freehold.everything as select * from freehold.documents; grant select on freehold.everything to @app",
    "drop view freehold.everything",
  ],
  [
    "a copy without row security is granted",
    "create table freehold.copied as select * from freehold.documents; grant select on freehold.copied to public",
    "drop table freehold.copied",
  ],
  ["a table can be emptied", "grant truncate on freehold.documents to @app", "revoke truncate on freehold.documents from @app"],
  ["the role is a superuser", "alter role @app superuser", "alter role @app nosuperuser"],
  ["the role passes by row security", "alter role @app bypassrls", "alter role @app nobypassrls"],
  ["the role can make roles", "alter role @app createrole", "alter role @app nocreaterole"],
  ["the role is a member of the owner", "grant @owner to @app", "revoke @owner from @app"],
  ["the role is a member of the platform's", "grant @system to @app", "revoke @system from @app"],
  [
    "the role owns a table",
    "alter table freehold.documents owner to @app",
    "alter table freehold.documents owner to @owner; grant select, insert, update, delete on freehold.documents to @app",
  ],
  ["the role can make things in a schema", "grant create on schema freehold to @app", "revoke create on schema freehold from @app"],
  [
    "the role can make temporary tables",
    "grant temporary on database @database to @app",
    "revoke temporary on database @database from @app",
  ],
  [
    "the role brings a tenant of its own",
    `alter role @app set app.tenant_id = '${contextOf("b").tenant.uuid}'`,
    "alter role @app reset all",
  ],
  [
    "set_config is granted again",
    "grant execute on function pg_catalog.set_config(text, text, boolean) to @app",
    "revoke execute on function pg_catalog.set_config(text, text, boolean) from @app",
  ],
  [
    "something that runs SQL is granted again",
    "grant execute on function pg_catalog.query_to_xml(text, boolean, boolean, text) to @app",
    "revoke execute on function pg_catalog.query_to_xml(text, boolean, boolean, text) from @app",
  ],
  [
    "a function runs with its owner's rights",
    "create function freehold.peek() returns bigint stable security definer language sql as 'select count(*) from freehold.documents'",
    "drop function freehold.peek()",
  ],
];

describe("a data store that cannot prove its isolation", () => {
  eachEngine((engine) => {
    let place: Place;
    let named: (text: string) => string;

    before(async () => {
      place = await engine.place();
      const store = await place.open();
      await storeTwoTenants(store);
      await store.close();
      const [database] = await place.administer<{ name: string }>("select current_database() as name");
      const name = database?.name ?? "";
      named = (text) => text.replaceAll(/@(app|owner|system)\b/g, `${name}_$1`).replaceAll("@database", name);
    });

    // each is taken back when the next one is tried, since opening the embedded folder takes its time
    let takeBack = "select 1";

    for (const [what, done, undone] of TAMPERINGS) {
      test(`does not open when ${what}`, async () => {
        await place.administer(named(`${takeBack}; ${done}`));
        takeBack = undone;
        await assert.rejects(place.open(), (error) => {
          assert.ok(error instanceof Fault);
          assert.equal(error.code, "isolation_violation");
          assertNoCanary(error);
          return true;
        });
      });
    }

    test("opens again when it is put right, with all rows", async () => {
      await place.administer(named(takeBack));
      const store = await place.open();
      assert.equal((await store.forTenant(contextOf("a")).query(sql`select from freehold.documents`)).count, DOCUMENTS);
      await store.close();
    });

    test("what is granted to everybody is closed again by the administrator's start", async () => {
      await place.administer("grant execute on function pg_catalog.set_config(text, text, boolean) to public");
      const store = await place.open();
      const attempt = store.forTenant(contextOf("a")).query(sql`select set_config('app.tenant_id', '', true)`);
      await assert.rejects(attempt, { code: "forbidden" });
      await store.close();
    });
  });
});

describe("a start with the application's own role", () => {
  test("changes nothing, serves what is there, and refuses what an administrator would have put right", async (t) => {
    const engine = createEngine("PostgreSQL");
    t.after(() => engine.close());
    const place = await engine.place();
    await storeTwoTenants(await place.open());
    assert.ok(place.location.kind === "postgres");
    const url = new URL(place.location.url);
    url.username = `${url.pathname.slice(1)}_app`;
    url.password = testPorts().keyring.key("database-password-app").toString("base64url");
    const open = () => createDataStore({ kind: "postgres", url: url.href, connectionsMax: 4 }, testPorts());
    const store = await open();
    assert.equal((await store.forTenant(contextOf("a")).query(sql`select from freehold.documents`)).count, DOCUMENTS);
    await store.close();
    const other = contextOf("b").tenant.uuid;
    await place.administer(
      `create or replace function freehold.tenant() returns uuid stable language sql as $$ select '${other}'::uuid $$`,
    );
    await assert.rejects(open(), { code: "isolation_violation" });
    await (await place.open()).close();
    await (await open()).close();
    await place.administer("grant execute on function pg_catalog.set_config(text, text, boolean) to public");
    await assert.rejects(open(), { code: "isolation_violation" });
  });

  test("in a database that was not set up says so", async () => {
    const url = await freshDatabase();
    await assert.rejects(createDataStore({ kind: "postgres", url: roleUrl(url, "nobody"), connectionsMax: 4 }, testPorts()), {
      code: "dependency_unavailable",
    });
  });

  test("with another root key is refused by the server", async (t) => {
    const engine = createEngine("PostgreSQL");
    t.after(() => engine.close());
    const place = await engine.place();
    await (await place.open()).close();
    assert.ok(place.location.kind === "postgres");
    const other = createKeyring(Buffer.alloc(32, 8)).key("database-password-app").toString("base64url");
    const url = roleUrl(place.location.url, "app", other);
    await assert.rejects(createDataStore({ kind: "postgres", url, connectionsMax: 4 }, testPorts()), (error) => {
      assert.ok(error instanceof Fault && error.code === "dependency_unavailable");
      assert.ok(!JSON.stringify([error.message, error.public]).includes(other), "the password is not shown");
      return true;
    });
  });
});

function roleUrl(of: string, role: string, password = "x"): string {
  const url = new URL(of);
  url.username = `${url.pathname.slice(1)}_${role}`;
  url.password = password;
  return url.href;
}

describe("a schema", () => {
  eachEngine((engine) => {
    test("of a newer program is refused and left as it is", async () => {
      const place = await engine.place();
      await (await place.open()).close();
      await place.administer(
        `insert into freehold.migrations (version, name, digest) values (9999, 'later', 'x');
         create or replace function freehold.context_mode() returns text language sql immutable as $$ select 'of the newer one' $$`,
      );
      await assert.rejects(place.open(), (error) => {
        assert.ok(error instanceof Fault && error.code === "dependency_unavailable");
        assert.match(error.public.detail ?? "", /schema version 9999.*Use a newer Freehold/);
        return true;
      });
      const [found] = await place.administer<{ mode: string }>("select freehold.context_mode() as mode");
      assert.equal(found?.mode, "of the newer one");
      await place.administer("delete from freehold.migrations where version = 9999");
      await (await place.open()).close();
    });

    test("with a migration that is not the program's is refused", async () => {
      const place = await engine.place();
      await (await place.open()).close();
      await place.administer("update freehold.migrations set digest = 'another' where version = 1");
      await assert.rejects(place.open(), (error) => {
        assert.ok(error instanceof Fault && error.code === "dependency_unavailable");
        assert.match(error.public.detail ?? "", /Migration 1 .*is not the one of this program/);
        return true;
      });
    });

    test("refuses another root key, with what to do, and is left as it is", async () => {
      const place = await engine.place();
      const first = await place.open();
      await storeTwoTenants(first);
      if (place.location.kind === "embedded") await first.close();
      const wrong = { ...testPorts(), keyring: createKeyring(Buffer.alloc(32, 8)) };
      await assert.rejects(createDataStore(place.location, wrong), (error) => {
        assert.ok(error instanceof Fault && error.code === "invalid_settings", String(error));
        assert.match(error.public.detail ?? "", /another root key, and nothing was changed.*FREEHOLD_ROOT_KEY/);
        return true;
      });
      // whoever has the right key goes on, also on new connections
      const again = await place.open();
      assert.equal((await again.forTenant(contextOf("b")).query(sql`select from freehold.documents`)).count, DOCUMENTS);
    });

    test("keeps its rows from one start to the next", async () => {
      const place = await engine.place();
      const first = await place.open();
      await storeTwoTenants(first);
      await first.close();
      const second = await place.open();
      assert.equal((await second.forTenant(contextOf("b")).query(sql`select from freehold.documents`)).count, DOCUMENTS);
    });
  });

  test("is set up once by two programs that start on one database at the same time", async () => {
    const url = await freshDatabase();
    const open = () => createDataStore({ kind: "postgres", url, connectionsMax: 4 }, testPorts());
    const stores = await Promise.all([open(), open(), open()]);
    for (const store of stores) await store.forTenant(contextOf("a")).query(sql`select from freehold.documents`);
    await Promise.all(stores.map((store) => store.close()));
  });
});

describe("an embedded folder", () => {
  async function holdIn(folder: string) {
    const child = spawn(process.execPath, [new URL("store-process.ts", import.meta.url).pathname, folder], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    const said: unknown = await Promise.race([once(child.stdout, "data"), once(child, "exit")]);
    assert.equal(String(said), "open\n");
    return child;
  }

  test("is open in one process only, and free again when that one is killed or ends", async (t) => {
    const engine = createEngine("PGlite");
    t.after(() => engine.close());
    const place = await engine.place();
    assert.ok(place.location.kind === "embedded");
    const { folder } = place.location;
    for (const end of ["kill", "close"]) {
      const holder = await holdIn(folder);
      await assert.rejects(place.open(), (error) => {
        assert.ok(error instanceof Fault && error.code === "store_locked");
        assert.match(error.public.detail ?? "", new RegExp(`process ${holder.pid ?? "?"}\\b`));
        return true;
      });
      if (end === "kill") holder.kill("SIGKILL");
      else holder.stdin.write("end\n");
      await once(holder, "exit");
      const store = await place.open();
      await assert.rejects(place.open(), { code: "store_locked" }, "the same process does not open it twice either");
      await store.forTenant(contextOf("a")).query(sql`select 1`);
      await store.close();
    }
  });
});
