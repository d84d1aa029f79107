import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { createKeyring, type StoreLifecycle, systemClock, type Tenant } from "../../src/kernel/index.ts";
import { sql } from "../../src/stores/data/index.ts";
import { createTokenIssuer, ownSigningKey } from "../../src/tenancy/identity/index.ts";
import { verifyCertificate } from "../../src/tenancy/lifecycle/index.ts";
import { eachEngine, type Place, temporaryFolder } from "../support/engines.ts";
import { contextOf } from "../support/tenants.ts";
import { until } from "../support/until.ts";
import {
  BY,
  exportOf,
  FILLED,
  filledTenant,
  freshId,
  importInto,
  input,
  install,
  type Installed,
  recordsIn,
  ROOT_KEY,
  rowsOf,
} from "./lifecycle-under-test.ts";

const KEYS = createTokenIssuer(ownSigningKey(createKeyring(ROOT_KEY)), systemClock).jwks().keys;

eachEngine((engine) => {
  describe("erasing a tenant", () => {
    let place: Place;
    let installed: Installed;

    before(async () => {
      place = await engine.place();
      installed = await install(await place.open(), temporaryFolder());
    });
    after(() => installed.close());

    async function erase(tenant: Tenant, request = { export: true }): Promise<void> {
      const { id } = await installed.lifecycle.erase(tenant, request, BY);
      await until("the erasure", async () => {
        const run = await installed.lifecycle.newest(tenant);
        assert.equal(run?.id, id);
        return run.state === "done";
      });
    }

    test("leaves no row of it in any table, and every row of others as it was", async () => {
      const gone = await filledTenant(installed, freshId("gone"), "a");
      const stays = await filledTenant(installed, freshId("stays"), "b");
      const was = await recordsIn(installed, await exportOf(installed, stays));
      const counts = await installed.store.rows.count(stays);
      await erase(gone);
      assert.deepEqual(
        (await installed.store.rows.count(gone)).filter(({ items }) => items !== 0),
        [],
      );
      assert.deepEqual(await recordsIn(installed, await exportOf(installed, stays)), was);
      assert.deepEqual(await installed.store.rows.count(stays), counts);
      const { rows } = await installed.store.system.query(sql`select status, document from freehold.tenants where uuid = ${gone.uuid}`);
      assert.deepEqual(rows, [{ status: "erased", document: { name: "erased" } }]);
      assert.equal(installed.registry.tenantOfHost(`ai.${gone.id}.example.com`), undefined);
      if (engine.name === "PostgreSQL") {
        assert.deepEqual(await rowsOf((text) => place.administer(text), gone.uuid), {}, "the test's own look at the catalogue");
      }
    });

    test("leaves an archive that another tenant can be made of, and a certificate that says what it was", async () => {
      const gone = await filledTenant(installed, freshId("gone"), "a");
      const was = await recordsIn(installed, await exportOf(installed, gone));
      await erase(gone);
      const { archive } = (await installed.lifecycle.newest(gone))?.notes ?? {};
      assert.ok(archive && existsSync(archive.file));
      const again = await importInto(installed, readFileSync(archive.file), freshId("again"));
      assert.deepEqual(await recordsIn(installed, await exportOf(installed, again)), was);

      const claims = verifyCertificate((await installed.lifecycle.certificate(gone)) ?? "", KEYS);
      assert.deepEqual(claims.tenant, { id: gone.id, internalId: gone.uuid });
      assert.deepEqual([claims.requestedBy, claims.archive?.sha256], [BY.actor, archive.sha256]);
      assert.deepEqual(
        claims.stores.map(({ store, remaining }) => [store, remaining]),
        [
          ["vault", 0],
          ["models", 0],
          ["events", 0],
          ["data", 0],
          ["search", 0],
          ["registry", 0],
        ],
      );
      const data = claims.stores.find(({ store }) => store === "data");
      assert.equal(data?.items, FILLED.users + FILLED.documents + FILLED.sessions + FILLED.messages);
      assert.ok(claims.verifiedTables.includes("freehold.users") && claims.verifiedTables.includes("freehold.api_keys"));
      assert.ok(claims.refusedSince <= claims.erasedAt);
    });

    test("takes its name and internal id for good", async () => {
      const gone = await installed.lifecycle.create(input(freshId("gone")), BY);
      await erase(gone, { export: false });
      await assert.rejects(installed.lifecycle.create(input(gone.id), BY), { code: "conflict" });
      await assert.rejects(importInto(installed, await exportOf(installed, await filledTenant(installed, freshId("x"))), gone.id), {
        code: "conflict",
      });
      await assert.rejects(installed.registry.setStatus(gone.id, "active"), { code: "conflict" });
    });

    test("is asked for twice and done once", async () => {
      const gone = await filledTenant(installed, freshId("gone"), "a");
      const asked = await Promise.all([1, 2, 3].map(() => installed.lifecycle.erase(gone, { export: false }, BY)));
      assert.equal(new Set(asked.map(({ id }) => id)).size, 1);
      await erase(gone);
      assert.equal((await installed.lifecycle.erase(gone, { export: true }, BY)).id, asked[0]?.id);
    });

    test("refuses the tenant before anything of it is touched", async () => {
      const seen: string[] = [];
      const watching: { registry?: Installed["registry"] } = {};
      const watched = (store: StoreLifecycle): StoreLifecycle => ({
        ...store,
        async erase(tenant) {
          const status = (await watching.registry?.find(tenant.id))?.status;
          seen.push(`${status} ${(await other.store.rows.count(tenant)).some(({ items }) => items > 0)}`);
          await store.erase(tenant);
        },
      });
      const change = (stores: readonly StoreLifecycle[]): readonly StoreLifecycle[] =>
        stores.map((store) => (store.name === "vault" ? watched(store) : store));
      const other = await install(installed.store, temporaryFolder(), { change });
      watching.registry = other.registry;
      const gone = await filledTenant(other, freshId("gone"), "a");
      await other.lifecycle.erase(gone, { export: false }, BY);
      await until("the erasure", async () => (await other.lifecycle.newest(gone))?.state === "done");
      assert.deepEqual(seen, ["deleting true"], "the keys are destroyed first, while the rest is still there");
      const claims = verifyCertificate((await other.lifecycle.certificate(gone)) ?? "", KEYS);
      assert.equal(claims.keysDestroyed, true);
      await other.close();
    });

    test("erases what comes late, and gives no certificate as long as a store still holds something", async () => {
      const late: { left: number; tenant?: Tenant } = { left: 0 };
      const store: StoreLifecycle = {
        name: "cache",
        provision: async () => {},
        measure: async () => ({ items: late.left, bytes: 0 }),
        async *export() {},
        import: async () => {},
        async erase() {
          // a write that was under way when the tenant was refused
          if (late.left === 2 && late.tenant) {
            await other.store
              .forTenant(contextOf(late.tenant))
              .query(sql`insert into freehold.users (tenant_id, id, name, roles) values (${late.tenant.uuid}, 'late', 'Late', '{}')`);
          }
          late.left = Math.max(0, late.left - 1);
        },
        remains: async () => (late.left > 0 ? [{ place: "cache", items: late.left }] : []),
      };
      const other = await install(installed.store, temporaryFolder(), { change: (stores) => [...stores, store] });
      late.tenant = await filledTenant(other, freshId("gone"), "a");
      late.left = 9;
      await other.lifecycle.erase(late.tenant, { export: false }, BY);
      await until("the first tries to fail", async () => (await other.lifecycle.newest(late.tenant as Tenant))?.problem);
      const run = await other.lifecycle.newest(late.tenant);
      assert.match(run?.problem ?? "", /still there.*cache/);
      assert.equal(await other.lifecycle.certificate(late.tenant), undefined);
      assert.equal((await other.registry.find(late.tenant.id))?.status, "deleting");
      other.lifecycle.start();
      await until("the erasure", async () => (await other.lifecycle.newest(late.tenant as Tenant))?.state === "done", 30_000);
      assert.deepEqual(
        (await other.store.rows.count(late.tenant)).filter(({ items }) => items !== 0),
        [],
      );
      await other.close();
    });

    test("is for no tenant that is served: the engine refuses to delete or to put its rows", async () => {
      const served = await filledTenant(installed, freshId("served"), "a");
      const was = await installed.store.rows.count(served);
      await assert.rejects(installed.store.rows.erase(served, ["freehold.users"]), { code: "forbidden" });
      await assert.rejects(installed.store.rows.put(served, "freehold.users", [{ id: "x", name: "X", roles: [] }]), {
        code: "invalid_settings",
      });
      await assert.rejects(installed.store.rows.erase({ ...served, id: freshId("other") }, ["freehold.users"]), { code: "forbidden" });
      assert.deepEqual(await installed.store.rows.count(served), was);
    });
  });

  describe("the rows of tenants", () => {
    test("are hidden by the engine from the functions of a tenant's life too, but for those of that tenant", async () => {
      const place = await engine.place();
      const installed = await install(await place.open(), temporaryFolder());
      const tenant = await filledTenant(installed, freshId("one"), "a");
      await filledTenant(installed, freshId("two"), "b");
      await installed.close();
      await installed.store.close();
      const [{ owner } = { owner: "" }] = await place.administer<{ owner: string }>(
        "select nspowner::regrole::text as owner from pg_namespace where nspname = 'freehold'",
      );
      const tables = await place.administer<{ name: string }>(`
        select c.oid::regclass::text as name from pg_class c join pg_attribute a on a.attrelid = c.oid
        where c.relrowsecurity and c.relnamespace = 'freehold'::regnamespace and a.attname = 'tenant_id' and not a.attisdropped`);
      assert.ok(tables.length >= 10, "row security is missing");
      const seen = (whose: string): string =>
        `set role ${owner}; set app.lifecycle_tenant = '${whose}'; ${tables
          .map(({ name }) => `select distinct tenant_id::text as tenant from ${name}`)
          .join(" union ")}`;
      assert.deepEqual(await place.administer(seen(tenant.uuid)), [{ tenant: tenant.uuid }]);
      assert.deepEqual(await place.administer(seen("")), []);
    });
  });

  describe("tables that nobody told the program of", () => {
    test("are found in the catalogue and erased; one that cannot be looked into holds the erasure up and is named", async () => {
      const place = await engine.place();
      const first = await install(await place.open(), temporaryFolder());
      const tenant = await filledTenant(first, freshId("gone"), "a");
      const other = await filledTenant(first, freshId("stays"), "b");
      await first.close();
      await first.store.close();
      const [{ owner } = { owner: "" }] = await place.administer<{ owner: string }>(
        "select nspowner::regrole::text as owner from pg_namespace where nspname = 'freehold'",
      );
      await place.administer(`
        create schema attic;
        create table attic."Old Notes" (n serial, tenant_uuid uuid, note text);
        create table attic.by_name (tenant_id text, note text);
        create table attic.parent (tenant_id uuid, id int, primary key (tenant_id, id));
        create table attic.child (tenant_id uuid, id int, foreign key (tenant_id, id) references attic.parent (tenant_id, id));
        create table attic.linked (whose uuid references freehold.tenants (uuid));
        create table attic.split (tenant_id uuid, n int) partition by list (n);
        create table attic.split_1 partition of attic.split for values in (1);
        create table attic.split_2 partition of attic.split for values in (2);
        grant usage on schema attic to ${owner};
        grant select, delete on all tables in schema attic to ${owner};
        insert into attic."Old Notes" (tenant_uuid, note) values ('${tenant.uuid}', 'x'), ('${other.uuid}', 'y');
        insert into attic.by_name values ('${tenant.id}', 'x'), ('${tenant.uuid}', 'x'), ('${other.id}', 'y');
        insert into attic.parent values ('${tenant.uuid}', 1), ('${other.uuid}', 1);
        insert into attic.child values ('${tenant.uuid}', 1), ('${other.uuid}', 1);
        insert into attic.linked values ('${tenant.uuid}'), ('${other.uuid}');
        insert into attic.split values ('${tenant.uuid}', 1), ('${tenant.uuid}', 2), ('${other.uuid}', 1), ('${other.uuid}', 2);
        create schema cellar;
        create table cellar.locked (tenant_id uuid);
        insert into cellar.locked values ('${tenant.uuid}')`);
      const second = await install(await place.open(), temporaryFolder());
      await second.lifecycle.erase(tenant, { export: false }, BY);
      await until("the erasure to be held up", async () => (await second.lifecycle.newest(tenant))?.problem);
      assert.match((await second.lifecycle.newest(tenant))?.problem ?? "", /cellar\.locked/);
      assert.equal(await second.lifecycle.certificate(tenant), undefined);
      await second.close();
      await second.store.close();
      const count = (whose: string): string => `
        select (select count(*) from attic."Old Notes" where tenant_uuid = '${whose}') + (select count(*) from attic.parent where tenant_id = '${whose}')
          + (select count(*) from attic.child where tenant_id = '${whose}') + (select count(*) from attic.linked where whose = '${whose}')
          + (select count(*) from attic.split where tenant_id = '${whose}')
          + (select count(*) from attic.by_name where tenant_id in ('${whose}', (select id from freehold.tenants where uuid = '${whose}'))) as rows`;
      const [left] = await place.administer<{ rows: string | number }>(count(tenant.uuid));
      const [kept] = await place.administer<{ rows: string | number }>(count(other.uuid));
      assert.deepEqual([Number(left?.rows), Number(kept?.rows)], [0, 7]);

      await place.administer("drop schema cellar cascade");
      const third = await install(await place.open(), temporaryFolder());
      third.lifecycle.start();
      await until("the erasure", async () => (await third.lifecycle.newest(tenant))?.state === "done", 30_000);
      const claims = verifyCertificate((await third.lifecycle.certificate(tenant)) ?? "", KEYS);
      assert.ok(claims.verifiedTables.includes('attic."Old Notes"') && claims.verifiedTables.includes("attic.by_name"));
      await third.close();
    });
  });
});
