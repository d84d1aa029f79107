import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { rmSync } from "node:fs";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import { promisify } from "node:util";
import pg from "pg";
import { createKeyring, type DataModel, type Tenant } from "../../src/kernel/index.ts";
import { homeNames, homePassword } from "../../src/stores/data/home.ts";
import { createDataStore } from "../../src/stores/data/index.ts";
import { rolesOf } from "../../src/stores/data/roles.ts";
import { testPorts } from "../support/data-ports.ts";
import { asAdministrator } from "../support/databases.ts";
import { temporaryFolder } from "../support/engines.ts";
import { type OwnServer, startOwnPostgres } from "../support/postgres-server.ts";
import { until } from "../support/until.ts";
import { BY, exportOf, filledTenant, freshId, input, install, type Installed, recordsIn, ROOT_KEY } from "./lifecycle-under-test.ts";

const DATABASE = "postgres";
const KEYRING = createKeyring(ROOT_KEY);
const MODELS: readonly DataModel[] = ["row", "schema", "database"];

/** Ownership, links and times as they are: what a backup of the file system has. */
async function copyFolder(from: string, to: string): Promise<void> {
  await promisify(execFile)("cp", ["-a", from, to]);
}

describe("a PostgreSQL cluster that is put back, whole, from a copy of its files", () => {
  let server: OwnServer;
  const [folder, saved] = [temporaryFolder(), temporaryFolder()];

  before(async () => {
    server = await startOwnPostgres();
  });
  after(() => server.stop());

  async function start(): Promise<Installed> {
    return await install(await createDataStore({ kind: "postgres", url: server.url, connectionsMax: 12 }, testPorts()), folder);
  }

  async function end(installed: Installed): Promise<void> {
    await installed.close();
    await installed.store.close();
  }

  async function filledIn(installed: Installed, model: DataModel, name: string, canary: string): Promise<Tenant> {
    const tenant = await filledTenant(installed, freshId(name), canary);
    if (model === "row") return tenant;
    await installed.store.homes.move(tenant, model);
    await installed.store.homes.confirm(tenant);
    return tenant;
  }

  async function keyOf({ registry }: Installed, tenant: Tenant | undefined, id: string): Promise<void> {
    const parts = { name: "k", hash: Buffer.alloc(32, id.length), roles: ["admin" as const], scopes: [], createdBy: "x", expiresAt: null };
    await registry.createKey({ ...parts, id, tenantUuid: tenant?.uuid ?? null });
  }

  /** What was made for the tenant alone in the whole cluster: schemas, databases, roles. */
  async function objectsOf({ uuid }: Tenant): Promise<readonly string[]> {
    const { schema, search, owner, login, database } = homeNames(DATABASE, uuid);
    const { app, system, tenants, owner: databaseOwner } = rolesOf(database);
    const names = [schema, search, owner, login, database, app, system, tenants, databaseOwner];
    const { rows } = await asAdministrator(server.url, (client) =>
      client.query<{ name: string }>(
        `select nspname as name from pg_namespace where nspname = any ($1) union select datname from pg_database where datname = any ($1)
         union select rolname from pg_roles where rolname = any ($1) order by 1`,
        [names],
      ),
    );
    return rows.map(({ name }) => name);
  }

  /** Whether whoever has kept the password of the tenant's own login gets in. */
  async function opens({ uuid }: Tenant, model: "schema" | "database"): Promise<boolean> {
    const names = homeNames(DATABASE, uuid);
    const url = new URL(server.url);
    url.username = model === "schema" ? names.login : rolesOf(names.database).app;
    url.password = homePassword(KEYRING, uuid, model === "schema" ? "login" : "app");
    if (model === "database") url.pathname = `/${names.database}`;
    const client = new pg.Client({ connectionString: url.href });
    try {
      await client.connect();
      return true;
    } catch {
      return false; // refused: no such role, or no such database
    } finally {
      await client.end();
    }
  }

  test("brings back no erased tenant with its schema, database, roles and logins, no revoked key and no suspended tenant", async () => {
    const first = await start();
    const gone = new Map<DataModel, Tenant>();
    for (const model of MODELS) gone.set(model, await filledIn(first, model, `gone-${model}`, "a"));
    const stays = await filledIn(first, "schema", "stays", "b");
    const rests = await first.lifecycle.create(input(freshId("rests")), BY);
    for (const id of ["stolen", "good"]) await keyOf(first, stays, id);
    await keyOf(first, undefined, "platform-stolen");
    await end(first);
    await server.whileStopped((cluster) => copyFolder(cluster, path.join(saved, "cluster")));

    const second = await start();
    for (const tenant of gone.values()) {
      await second.lifecycle.erase(tenant, { export: false }, BY);
      await until("the erasure", async () => (await second.lifecycle.newest(tenant))?.state === "done", 30_000);
      assert.deepEqual(await objectsOf(tenant), []);
    }
    await second.registry.revokeKey(stays.uuid, "stolen");
    await second.registry.revokeKey(null, "platform-stolen");
    await second.lifecycle.suspend(rests.id);
    const records = await recordsIn(second, await exportOf(second, stays));
    await end(second);
    await server.whileStopped(async (cluster) => {
      rmSync(cluster, { recursive: true });
      await copyFolder(path.join(saved, "cluster"), cluster);
    });

    const [schema, database] = [gone.get("schema"), gone.get("database")];
    assert.ok(schema && database);
    assert.deepEqual([await opens(schema, "schema"), await opens(database, "database")], [true, true], "the backup has the old logins");
    const third = await start();
    const said = await third.lifecycle.replay();
    assert.deepEqual(said.erased.map(({ id }) => id).toSorted(), [...gone.values()].map(({ id }) => String(id)).toSorted());
    assert.deepEqual([said.keysRevoked.toSorted(), said.suspended.map(({ id }) => id)], [["platform-stolen", "stolen"], [rests.id]]);
    for (const tenant of gone.values()) {
      assert.equal((await third.registry.find(tenant.id))?.status, "erased");
      assert.deepEqual(await objectsOf(tenant), []);
      assert.deepEqual(
        (await third.store.rows.count(tenant)).filter(({ items }) => items !== 0),
        [],
      );
      await assert.rejects(third.lifecycle.create(input(tenant.id), BY), { code: "conflict" });
    }
    assert.deepEqual([await opens(schema, "schema"), await opens(database, "database")], [false, false]);
    const revoked = async (id: string): Promise<boolean> => (await third.registry.findKey(id))?.revokedAt !== null;
    assert.deepEqual([await revoked("stolen"), await revoked("platform-stolen"), await revoked("good")], [true, true, false]);
    assert.equal((await third.registry.find(rests.id))?.status, "suspended");
    assert.deepEqual(await recordsIn(third, await exportOf(third, stays)), records, "who stays has everything, and reads it");
    assert.ok(await opens(stays, "schema"));
    await end(third);
  });
});
