import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import { Fault, type StorePlace, type TenantContext } from "../../src/kernel/index.ts";
import { type DataStore, sql } from "../../src/stores/data/index.ts";
import { createFolderEngine, type FileEngine, type FileStore, type TenantFiles } from "../../src/stores/files/index.ts";
import { FILE_MOVE_STEPS } from "../../src/stores/files/move-files.ts";
import type { VaultStore } from "../../src/stores/vault/index.ts";
import { createEngine, eachEngine, type Place, temporaryFolder } from "../support/engines.ts";
import { assertNoCanary, CANARY, contextOf, tenantOf } from "../support/tenants.ts";
import { openVault } from "../support/vaults.ts";
import { type FileWriters, startFileWriters } from "./file-writers.ts";
import { openFiles, pieces, readAll, s3Engine } from "./files-under-test.ts";
import { openVaultOfProgram } from "./program-vault.ts";
import { startS3 } from "./s3-server.ts";

const STORAGE = 1_000_000_000;
const A = contextOf({ ...tenantOf("a"), quotas: { ...tenantOf("a").quotas, storageLimit: STORAGE } });
const B = contextOf("b");
const { uuid } = A.tenant;
const PROGRAM = path.join(import.meta.dirname, "move-program.ts");
/** How often the program is killed: after each step in turn. */
const KILLS = Number(process.env["FREEHOLD_TEST_MOVE_KILLS"] ?? FILE_MOVE_STEPS.length);
const ROUND_TIMEOUT_MS = 40_000;

async function assertStored(files: TenantFiles, { acknowledged, failures }: FileWriters): Promise<void> {
  assert.deepEqual(failures, []);
  const there = [...acknowledged].filter(([, sha256]) => sha256 !== undefined);
  for (const [name, sha256] of there) {
    const { info, content } = await files.get(name);
    assert.equal(info.sha256, sha256, name);
    assert.equal((await readAll(content)).length, info.bytes);
  }
  assert.equal((await files.list({ prefix: "w", limit: 1_000 })).files.length, there.length, "nothing is there that was not stored");
}

describe("files that are moved", () => {
  eachEngine((engine) => {
    const folder = temporaryFolder();
    let place: Place;
    let data: DataStore;
    let vault: VaultStore;
    let s3: Awaited<ReturnType<typeof startS3>>;
    let shared: FileEngine;
    let own: FileEngine & { close(): Promise<void> };
    let files: FileStore;
    const open = (change: { engine?: FileEngine; ownEngine?: FileEngine } = {}): FileStore =>
      openFiles({ data, vault, engine: shared, ownEngine: own, ...change });

    before(async () => {
      place = await engine.place();
      data = await place.open();
      vault = await openVault(data.system);
      s3 = await startS3("unused");
      shared = await createFolderEngine(folder);
      own = s3Engine(s3, "fh-{tenant}");
      files = open();
      for (const { tenant } of [A, B]) await files.lifecycle.provision(tenant);
      await files.forTenant(B).put("others", pieces(CANARY));
    });
    after(async () => {
      await files.close();
      await own.close();
      s3.close();
      await vault.close();
      await data.close();
    });

    test("lose nothing and refuse nothing while they are written, read and deleted, there and back, in several processes", async (t) => {
      const stores = [open(), open(), open()];
      const writers = startFileWriters(stores.map((store) => store.forTenant(A)));
      t.after(() => writers.stop());
      for (const target of ["own", "shared", "own"] as const) {
        const report = await files.places.move(A.tenant, target);
        assert.equal(report.target, target);
        assert.equal(await files.places.placeOf(A.tenant), target);
        await confirmed(files, A);
        assert.deepEqual(writers.failures, [], `on the way to ${target}`);
        t.diagnostic(`${report.parts[0]?.items} files, fence ${report.fenceMs.toFixed(1)} ms`);
      }
      await writers.stop();
      for (const store of stores) await store.close();
      await assertStored(files.forTenant(A), writers);
      await files.sweep();
      assert.deepEqual(await shared.count(uuid), { items: 0, bytes: 0 });
      assert.equal((await own.count(uuid)).items, (await files.forTenant(A).use()).items, "an object that is no file was left");
      assert.equal((await shared.count(B.tenant.uuid)).items, 1, "another tenant's files are where they were");
      for (const { objects } of s3.buckets.values()) for (const object of objects.values()) assertNoCanary(object.toString("latin1"));
      assert.deepEqual(s3.problems, []);
    });

    test("are moved once at a time, and not again before the old place is confirmed", async () => {
      await assert.rejects(files.places.move(A.tenant, "own"), { code: "conflict" });
      await files.places.move(A.tenant, "shared", {
        onStep: async (step) => {
          if (step === "begun") await assert.rejects(files.places.confirm(A.tenant), { code: "in_progress" });
        },
      });
      await assert.rejects(files.places.move(A.tenant, "own"), { code: "conflict" });
      await files.places.confirm(A.tenant);
      await files.places.confirm(A.tenant);
      await assert.rejects(files.places.move(A.tenant, "elsewhere"), { code: "invalid_settings" });
      const alone = openFiles({ data, vault, engine: shared });
      await assert.rejects(alone.places.move(A.tenant, "own"), { code: "invalid_settings" });
      await alone.close();
    });

    test("stay where they are, and nothing of them elsewhere, when anything fails before the switch", async () => {
      for (const failing of ["provision", "write", "read"] as const) {
        const broken: FileEngine = Object.assign(Object.create(own) as FileEngine, {
          place: own.place,
          provision: (tenant: string) => own.provision(tenant),
          write: (tenant: string, object: string, content: AsyncIterable<Uint8Array>) => own.write(tenant, object, content),
          read: (...args: Parameters<FileEngine["read"]>) => own.read(...args),
          remove: (tenant: string, object: string) => own.remove(tenant, object),
          count: (tenant: string) => own.count(tenant),
          erase: (tenant: string) => own.erase(tenant),
          [failing]: () => {
            throw new Fault("dependency_unavailable", "the place does not answer");
          },
        });
        const store = open({ ownEngine: broken });
        await assert.rejects(store.places.move(A.tenant, "own"), { code: "dependency_unavailable" }, failing);
        await store.close();
        assert.equal(await files.places.placeOf(A.tenant), "shared");
        assert.deepEqual(await own.count(uuid), { items: 0, bytes: 0 });
        for (const { name } of (await files.forTenant(A).list({ limit: 3 })).files)
          await readAll((await files.forTenant(A).get(name)).content);
      }
      const { rows } = await data.system.query(sql`select from freehold.file_copies where tenant_id = ${uuid}`);
      assert.equal(rows.length, 0);
    });

    test("whose upload began before the switch and ended after it are there, and come after when the move is confirmed", async () => {
      const [begun, goOn] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
      const content = (async function* (): AsyncGenerator<Uint8Array> {
        yield Buffer.alloc(100_000, "x");
        begun.resolve();
        await goOn.promise;
        yield Buffer.from("the end");
      })();
      const storing = files.forTenant(A).put("long", content);
      await begun.promise;
      await files.places.move(A.tenant, "own");
      await assert.rejects(files.places.confirm(A.tenant), { code: "in_progress" });
      goOn.resolve();
      await storing;
      assert.equal((await readAll((await files.forTenant(A).get("long")).content)).length, 100_007);
      await files.places.confirm(A.tenant);
      assert.deepEqual(await shared.count(uuid), { items: 0, bytes: 0 });
      assert.equal((await readAll((await files.forTenant(A).get("long")).content)).length, 100_007);
    });

    test("leave with their tenant from whichever place, and are erased in both", async () => {
      await files.forTenant(A).put("kept", pieces("value"));
      await files.places.move(A.tenant, "shared");
      const names: unknown[] = [];
      for await (const { value } of files.lifecycle.export(A.tenant)) names.push(value["name"]);
      assert.ok(names.includes("kept"));
      await files.lifecycle.erase(A.tenant);
      assert.deepEqual(await files.lifecycle.remains(A.tenant), []);
      assert.deepEqual([(await own.count(uuid)).items, (await shared.count(uuid)).items], [0, 0]);
      assert.equal((await readAll((await files.forTenant(B).get("others")).content)).toString(), CANARY);
    });
  });
});

/** An upload that had begun before the switch has to end first. */
async function confirmed(files: FileStore, { tenant }: TenantContext): Promise<void> {
  for (;;) {
    try {
      return await files.places.confirm(tenant);
    } catch (error) {
      if (!(error instanceof Fault) || error.code !== "in_progress") throw error;
    }
  }
}

describe("a program that is killed while it moves files that are being written", () => {
  const engine = createEngine("PostgreSQL");
  const folder = temporaryFolder();
  after(() => engine.close());

  test(`has lost none, refused none and left nothing behind, after ${KILLS} kills`, { timeout: KILLS * ROUND_TIMEOUT_MS }, async (t) => {
    const place = await engine.place();
    const data = await place.open();
    const vault = await openVaultOfProgram(data.system);
    const [shared, own] = [await createFolderEngine(path.join(folder, "files")), await createFolderEngine(path.join(folder, "own"))];
    const stores = [1, 2].map(() => openFiles({ data, vault, engine: shared, ownEngine: own }));
    const [files = assert.fail()] = stores;
    const writers = startFileWriters(stores.map((store) => store.forTenant(A)));
    t.after(() => writers.stop());
    for (let kill = 0; kill < KILLS; kill++) {
      const target: StorePlace = kill % 2 === 0 ? "own" : "shared";
      const step = FILE_MOVE_STEPS[kill % FILE_MOVE_STEPS.length] ?? "begun";
      assert.equal(await runProgram([JSON.stringify(place.location), folder, target, step]), "SIGKILL", step);
      await data.system.query(sql`update freehold.file_places set lease_until = now() - interval '1 second' where tenant_id = ${uuid}`);
      if ((await files.places.placeOf(A.tenant)) !== target) await files.places.move(A.tenant, target);
      await confirmed(files, A);
      assert.equal(await files.places.placeOf(A.tenant), target);
      assert.deepEqual(writers.failures, [], `after ${step} on the way to ${target}`);
    }
    await writers.stop();
    await assertStored(files.forTenant(A), writers);
    await files.sweep();
    const there = KILLS % 2 === 0 ? [shared, own] : [own, shared];
    assert.equal((await there[0]?.count(uuid))?.items, (await files.forTenant(A).use()).items);
    assert.equal((await there[1]?.count(uuid))?.items, 0);
    t.diagnostic(`${KILLS} kills, ${writers.acknowledged.size} files acknowledged meanwhile`);
    for (const store of stores) await store.close();
    await vault.close();
  });
});

/** The signal that ended the program, if one did. */
async function runProgram(args: readonly string[]): Promise<NodeJS.Signals | null> {
  const child = spawn(process.execPath, [PROGRAM, ...args], { stdio: ["ignore", "inherit", "inherit"] });
  await once(child, "exit");
  return child.signalCode;
}
