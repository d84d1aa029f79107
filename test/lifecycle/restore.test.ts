import assert from "node:assert/strict";
import { appendFileSync, cpSync, existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { describe, test } from "node:test";
import { createKeyring, systemClock, type Tenant } from "../../src/kernel/index.ts";
import { sql } from "../../src/stores/data/index.ts";
import { createTokenIssuer, ownSigningKey } from "../../src/tenancy/identity/index.ts";
import { verifyCertificate } from "../../src/tenancy/lifecycle/index.ts";
import { asAdministrator } from "../support/databases.ts";
import { eachEngine, type Place, temporaryFolder } from "../support/engines.ts";
import { until } from "../support/until.ts";
import { BY, exportOf, filledTenant, freshId, input, install, type Installed, recordsIn, ROOT_KEY } from "./lifecycle-under-test.ts";

/** Backs up the database of the place, which is open nowhere, and gives what brings it back. */
async function backUp({ location }: Place): Promise<() => Promise<void>> {
  if (location.kind === "embedded") {
    const saved = path.join(temporaryFolder(), "pg");
    cpSync(path.join(location.folder, "pg"), saved, { recursive: true });
    return async () => {
      rmSync(path.join(location.folder, "pg"), { recursive: true });
      cpSync(saved, path.join(location.folder, "pg"), { recursive: true });
    };
  }
  // to the program a copy by template is what a restored dump is, and no tool that dumps comes with the engine
  const url = new URL(location.url);
  const name = url.pathname.slice(1);
  const saved = `${name}_saved`;
  url.pathname = "/postgres";
  await asAdministrator(url.href, (client) => client.query(`create database ${saved} template ${name}`));
  return async () => {
    await asAdministrator(url.href, async (client) => {
      await client.query(`drop database ${name} with (force)`);
      await client.query(`create database ${name} template ${saved}`);
      await client.query(`drop database ${saved}`);
    });
  };
}

async function erase({ lifecycle }: Installed, tenant: Tenant): Promise<void> {
  await lifecycle.erase(tenant, { export: false }, BY);
  await until("the erasure", async () => (await lifecycle.newest(tenant))?.state === "done");
}

async function end(installed: Installed): Promise<void> {
  await installed.close();
  await installed.store.close();
}

async function keyOf({ registry }: Installed, tenant: Tenant | undefined, id: string): Promise<void> {
  const parts = { name: "k", hash: Buffer.alloc(32, id.length), roles: ["admin" as const], scopes: [], createdBy: "x", expiresAt: null };
  await registry.createKey({ ...parts, id, tenantUuid: tenant?.uuid ?? null });
}

/** No row of the tenant is left, and its name is nobody's. */
async function assertGone({ store, lifecycle }: Installed, tenant: Tenant): Promise<void> {
  const left = (await store.rows.count(tenant)).filter(({ items }) => items !== 0);
  assert.deepEqual(left, []);
  await assert.rejects(lifecycle.create(input(tenant.id), BY), { code: "conflict" });
}

/** What the platform's trail says was taken back. */
async function takenBackIn({ audit, store }: Installed): Promise<readonly unknown[]> {
  await audit.flush();
  const { rows } = await store.system.query(sql`
    select action, target_tenant as tenant from freehold.audit_entries where reason = 'restored_backup' order by action, tenant`);
  return rows;
}

eachEngine((engine) => {
  describe("a database restored from a backup", () => {
    test("brings back no erased tenant, no revoked key and no suspended tenant, and says so", async () => {
      const place = await engine.place();
      const folder = temporaryFolder();
      const first = await install(await place.open(), folder);
      const gone = await filledTenant(first, freshId("gone"), "a");
      const stays = await filledTenant(first, freshId("stays"), "b");
      const rests = await first.lifecycle.create(input(freshId("rests")), BY);
      const resumed = await first.lifecycle.create(input(freshId("resumed")), BY);
      for (const id of ["stolen", "good"]) {
        await keyOf(first, stays, id);
        await keyOf(first, undefined, `platform-${id}`);
      }
      await end(first);
      const restore = await backUp(place);

      const second = await install(await place.open(), folder);
      await erase(second, gone);
      await second.registry.revokeKey(stays.uuid, "stolen");
      await second.registry.revokeKey(null, "platform-stolen");
      await second.lifecycle.suspend(rests.id);
      await second.lifecycle.suspend(resumed.id);
      await second.lifecycle.resume(resumed.id);
      const late = await filledTenant(second, freshId("late"), "a");
      await erase(second, late);
      const records = await recordsIn(second, await exportOf(second, stays));
      await end(second);
      await restore();

      const third = await install(await place.open(), folder);
      assert.equal((await third.registry.find(gone.id))?.status, "active", "the backup has the tenant");
      const said = await third.lifecycle.replay();
      assert.deepEqual(said.keysRevoked.toSorted(), ["platform-stolen", "stolen"]);
      assert.deepEqual(
        [said.erased.map(({ id }) => id), said.buried.map(({ id }) => id), said.suspended.map(({ id }) => id)],
        [[gone.id], [late.id], [rests.id]],
      );

      // before anything is served
      const statuses = await Promise.all(
        [gone, late, stays, rests, resumed].map(async ({ id }) => (await third.registry.find(id))?.status),
      );
      assert.deepEqual(statuses, ["erased", "erased", "active", "suspended", "active"]);
      assert.equal((await third.registry.find(late.id))?.uuid, late.uuid);
      for (const tenant of [gone, late]) await assertGone(third, tenant);
      const vault = third.stores.find(({ name }) => name === "vault");
      await assert.rejects(async () => vault?.provision(gone), { code: "not_found" }, "its keys are destroyed again, for good");
      const keys = createTokenIssuer(ownSigningKey(createKeyring(ROOT_KEY)), systemClock).jwks().keys;
      assert.equal(verifyCertificate((await third.lifecycle.certificate(gone)) ?? "", keys).requestedBy, "revocation-journal");
      const revoked = await Promise.all(
        ["stolen", "good", "platform-stolen", "platform-good"].map(async (id) => (await third.registry.findKey(id))?.revokedAt !== null),
      );
      assert.deepEqual(revoked, [true, false, true, false]);
      assert.deepEqual(await recordsIn(third, await exportOf(third, stays)), records);
      assert.deepEqual(await takenBackIn(third), [
        { action: "key_revoked", tenant: null },
        { action: "key_revoked", tenant: null },
        { action: "tenant_erased", tenant: late.id },
        { action: "tenant_erasing", tenant: gone.id },
        { action: "tenant_suspended", tenant: rests.id },
      ]);
      const again = await third.lifecycle.replay();
      assert.deepEqual([again.keysRevoked, again.erased, again.buried, again.suspended], [[], [], [], []]);
      await end(third);
    });

    test("of a moment in which an erasure was under way has it carried to its end", async () => {
      const place = await engine.place();
      const folder = temporaryFolder();
      let stop = true;
      const first = await install(await place.open(), folder, {
        reached: (point) => {
          if (stop && point === "erase:search") throw new Error("the process ends here");
        },
      });
      const gone = await filledTenant(first, freshId("gone"), "a");
      await first.lifecycle.erase(gone, { export: false }, BY);
      await until("the failure", () => first.reports.find(({ message }) => message.includes("ends here")));
      await end(first);
      const restore = await backUp(place);
      stop = false;
      await restore();
      const second = await install(await place.open(), folder);
      assert.deepEqual((await second.lifecycle.replay()).erased, [], "it is not begun a second time");
      second.lifecycle.start();
      await until("the erasure", async () => (await second.lifecycle.newest(gone))?.state === "done");
      assert.deepEqual(
        (await second.store.rows.count(gone)).filter(({ items }) => items !== 0),
        [],
      );
      await end(second);
    });
  });

  describe("the journal of revocations", () => {
    test("is kept in several places, and one that was lost or is behind gets what it misses", async () => {
      const place = await engine.place();
      const [folder, elsewhere] = [temporaryFolder(), temporaryFolder()];
      const [file, copy] = [path.join(folder, "revocations.jsonl"), path.join(elsewhere, "deep", "copy.jsonl")];
      const store = await place.open();
      const installed = await install(store, folder, { copies: [copy] });
      for (const id of ["one", "two", "three"]) {
        await keyOf(installed, undefined, id);
        await installed.registry.revokeKey(null, id);
      }
      assert.equal(readFileSync(file, "utf8"), readFileSync(copy, "utf8"));
      await store.system.query(sql`update freehold.api_keys set revoked_at = null`);
      // the data folder is from before, and the copy has lost its beginning
      rmSync(file);
      writeFileSync(copy, readFileSync(copy, "utf8").split("\n").slice(2).join("\n"));
      assert.deepEqual((await installed.lifecycle.replay()).keysRevoked.toSorted(), ["three", "two"]);
      assert.ok(existsSync(file));
      rmSync(copy);
      assert.deepEqual((await installed.journal.read()).keys.toSorted(), ["three", "two"]);
      assert.equal(readFileSync(copy, "utf8").split("\n").filter(Boolean).length, 2);
      await end(installed);
    });

    test("has only lines of this installation: one that somebody wrote or changed is refused, one that was cut off is passed over", async () => {
      const place = await engine.place();
      const folder = temporaryFolder();
      const file = path.join(folder, "revocations.jsonl");
      const installed = await install(await place.open(), folder);
      const victim = await filledTenant(installed, freshId("victim"), "a");
      await keyOf(installed, undefined, "one");
      await installed.registry.revokeKey(null, "one");
      const genuine = readFileSync(file, "utf8");
      const [line = ""] = genuine.split("\n").filter(Boolean);
      const forged = [
        JSON.stringify({ at: "2026-01-01T00:00:00.000Z", kind: "tenant_erased", id: victim.id, uuid: victim.uuid, mac: "A".repeat(43) }),
        line.replace('"one"', '"two"'),
        line.replace("key_revoked", "tenant_erased"),
        line.replace("{", '{"more":1,'),
        "{}",
      ];
      for (const text of forged) {
        writeFileSync(file, `${genuine}\n${text}`);
        await assert.rejects(installed.lifecycle.replay(), { code: "invalid_settings" }, text);
      }
      assert.equal((await installed.registry.find(victim.id))?.status, "active");
      for (let length = 1; length < line.length; length += 7) {
        writeFileSync(file, genuine);
        appendFileSync(file, `\n${line.slice(0, length)}`);
        await installed.journal.keyRevoked(`after-${length}`);
        assert.deepEqual((await installed.journal.read()).keys, ["one", `after-${length}`]);
      }
      await end(installed);
    });

    test("that cannot be written holds no revocation up, and whoever asked is told", async () => {
      const folder = temporaryFolder();
      const installed = await install(await engine.open(), folder, {
        copies: [path.join(folder, "revocations.jsonl", "not-a-folder", "x")],
      });
      await keyOf(installed, undefined, "one");
      await assert.rejects(installed.registry.revokeKey(null, "one"), { code: "dependency_unavailable" });
      assert.notEqual((await installed.registry.findKey("one"))?.revokedAt, null);
      await end(installed);
    });
  });
});
