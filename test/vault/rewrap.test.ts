import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import path from "node:path";
import { createInterface } from "node:readline";
import { after, before, describe, test } from "node:test";
import { type Fault, type StoreTenant, systemRandom } from "../../src/kernel/index.ts";
import { type DataStore, sql } from "../../src/stores/data/index.ts";
import { createLocalRootKeys, type SealPlace, type VaultStore } from "../../src/stores/vault/index.ts";
import { eachEngine, type Place, temporaryFolder } from "../support/engines.ts";
import { tenantOf } from "../support/tenants.ts";
import { openVault, ROOT_KEY } from "../support/vaults.ts";
import { type KmsServer, PLATFORM_KEY, REGION, startKms } from "./kms-server.ts";
import { kmsRoots, transitRoots } from "./root-keys.ts";
import { startTransit, TRANSIT_KEY } from "./transit-server.ts";

const PROGRAM = path.join(import.meta.dirname, "rewrap-program.ts");
const TENANTS = Array.from({ length: 25 }, (_, at) => tenantOf(`tenant-${at}`));
const PLACE: SealPlace = { purpose: "columns", table: "documents", column: "body", row: ["doc-1"] };

type Sealed = readonly (readonly [StoreTenant, Buffer])[];

async function sealForAll(vault: VaultStore): Promise<Sealed> {
  const sealed: (readonly [StoreTenant, Buffer])[] = [];
  for (const tenant of TENANTS) sealed.push([tenant, await vault.forTenant(tenant).seal(PLACE, Buffer.from(tenant.id))]);
  return sealed;
}

async function assertAllOpen(vault: VaultStore, sealed: Sealed): Promise<void> {
  for (const [tenant, value] of sealed) assert.equal((await vault.forTenant(tenant).open(PLACE, value)).toString(), tenant.id);
}

async function rootsIn(store: DataStore): Promise<Set<string>> {
  const { rows } = await store.system.query<{ root: string }>(sql`select distinct root from freehold.vault_keys`);
  return new Set(rows.map(({ root }) => root));
}

/** Runs the program until it has wrapped so many keys, and kills it there. */
async function rewrapAndKill(place: Place, next: Buffer, old: Buffer, wrappings: number): Promise<number> {
  const args = [PROGRAM, JSON.stringify(place.location), next.toString("hex"), old.toString("hex"), temporaryFolder()];
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
  const exit = once(child, "exit");
  let last = 0;
  for await (const line of createInterface({ input: child.stdout })) {
    assert.notEqual(line, "done", "it ended before it was killed");
    last = Number(line);
    if (last === wrappings) child.kill("SIGKILL");
  }
  await exit;
  assert.equal(child.signalCode, "SIGKILL");
  return last;
}

describe("a root key that becomes another", () => {
  eachEngine((engine) => {
    test("leaves everything readable wherever the change is killed, and in the end needs the old one no more", async () => {
      const place = await engine.place();
      let store = await place.open();
      let vault = await openVault(store.system);
      const sealed = await sealForAll(vault);
      const next = randomBytes(32);
      const both = [createLocalRootKeys([next, ROOT_KEY], systemRandom)] as const;
      await vault.close();
      for (const wrappings of [2, 5, 9]) {
        await store.close();
        await rewrapAndKill(place, next, ROOT_KEY, wrappings);
        store = await place.open();
        vault = await openVault(store.system, { roots: both });
        await assertAllOpen(vault, sealed);
        assert.equal((await rootsIn(store)).size, 2, "in the middle");
        await vault.close();
      }
      const last = await openVault(store.system, { roots: both });
      const report = await last.rewrap();
      assert.equal(report.failed, 0);
      assert.ok(report.rewrapped > 0 && report.rewrapped < TENANTS.length);
      assert.deepEqual(await last.rewrap(), { rewrapped: 0, failed: 0 });
      await last.close();
      const alone = await openVault(store.system, { roots: [createLocalRootKeys([next], systemRandom)] });
      await assertAllOpen(alone, sealed);
      await alone.close();
    });

    test("can move from this process to a key management service and on to another, while tenants are served", async (t) => {
      const store = await engine.open();
      const local = createLocalRootKeys([ROOT_KEY], systemRandom);
      const [kms, transit] = [await startKms(), await startTransit()];
      for (const server of [kms, transit]) t.after(() => server.close());
      const [inKms, inTransit] = [kmsRoots(kms), transitRoots(transit)];
      const first = await openVault(store.system, { roots: [local] });
      const sealed = await sealForAll(first);
      await first.close();
      for (const roots of [[inKms, local], [inTransit, inKms], [inTransit]] as const) {
        const vault = await openVault(store.system, { roots });
        const [{ rewrapped, failed }] = await Promise.all([vault.rewrap(), assertAllOpen(vault, sealed)]);
        assert.deepEqual([rewrapped, failed], [roots.length === 1 ? 0 : TENANTS.length, 0]);
        await assertAllOpen(vault, sealed);
        await vault.close();
      }
      transit.rotate(TRANSIT_KEY);
      const rotated = await openVault(store.system, { roots: [inTransit] });
      assert.deepEqual(await rotated.rewrap(), { rewrapped: TENANTS.length, failed: 0 });
      assert.deepEqual(await rootsIn(store), new Set(["transit:freehold:v2"]));
      await assertAllOpen(rotated, sealed);
      await Promise.all([rotated.close(), inKms.close(), inTransit.close()]);
      assert.deepEqual([...kms.problems, ...transit.problems], []);
    });
  });
});

describe("a tenant's own root key", () => {
  const OWN = `arn:aws:kms:${REGION}:444455556666:key/of-a`;
  let kms: KmsServer;
  before(async () => {
    kms = await startKms();
  });
  after(() => kms.close());

  eachEngine((engine) => {
    test("wraps the tenant's keys and nobody else's, and without it nothing of the tenant opens", async () => {
      const store = await engine.open();
      const roots = kmsRoots(kms);
      const reports: Fault[] = [];
      const vault = await openVault(store.system, { roots: [roots], reports });
      const [a, b] = [tenantOf("a"), tenantOf("b")];
      const ofA = await vault.forTenant(a).seal(PLACE, Buffer.from("of a"));
      const ofB = await vault.forTenant(b).seal(PLACE, Buffer.from("of b"));
      kms.keys.set(OWN, { enabled: true, tenant: a.uuid });
      await vault.setRoot(a, `aws-kms:${OWN}`);
      const { rows } = await store.system.query<{ tenant: string; root: string }>(
        sql`select tenant_id as tenant, root from freehold.vault_keys order by root`,
      );
      assert.deepEqual(
        new Map(rows.map(({ tenant, root }) => [tenant, root])),
        new Map([
          [b.uuid, `aws-kms:${PLATFORM_KEY}`],
          [a.uuid, `aws-kms:${OWN}`],
        ]),
      );
      await vault.close();
      kms.keys.set(OWN, { enabled: false, tenant: a.uuid });
      const fresh = await openVault(store.system, { roots: [roots], reports });
      await assert.rejects(fresh.forTenant(a).open(PLACE, ofA), { code: "dependency_unavailable" });
      await assert.rejects(fresh.forTenant(a).seal({ ...PLACE, purpose: "files" }, ofA), { code: "dependency_unavailable" });
      assert.deepEqual(await fresh.forTenant(b).open(PLACE, ofB), Buffer.from("of b"));
      await fresh.close();
      kms.keys.set(OWN, { enabled: true, tenant: a.uuid });
      const back = await openVault(store.system, { roots: [roots] });
      assert.deepEqual(await back.forTenant(a).open(PLACE, ofA), Buffer.from("of a"));
      await back.setRoot(a, null);
      assert.deepEqual(await rootsIn(store), new Set([`aws-kms:${PLATFORM_KEY}`]));
      await back.close();
      await roots.close();
      assert.deepEqual(kms.problems, []);
    });

    test("is refused when it cannot be used for this tenant, and when it is another tenant's, with the same words", async () => {
      const store = await engine.open();
      const roots = kmsRoots(kms);
      const vault = await openVault(store.system, { roots: [roots] });
      const [a, b] = [tenantOf("a"), tenantOf("b")];
      const [open, unknown, off] = ["open", "unknown", "off"].map((name) => `arn:aws:kms:${REGION}:444455556666:key/${name}`);
      kms.keys.set(open ?? "", { enabled: true });
      kms.keys.set(off ?? "", { enabled: false });
      kms.keys.set(OWN, { enabled: true, tenant: a.uuid });
      await vault.setRoot(a, `aws-kms:${open}`);
      const details = new Set<unknown>();
      for (const key of [OWN, open, unknown, off]) {
        await assert.rejects(vault.setRoot(b, `aws-kms:${key}`), (error: Fault) => {
          assert.equal(error.code, "invalid_settings", key);
          details.add(error.public.detail);
          return true;
        });
      }
      assert.equal(details.size, 1);
      for (const root of ["local:0011223344556677", "transit:x", "nothing", "", `aws-kms:${PLATFORM_KEY}`]) {
        await assert.rejects(vault.setRoot(b, root), { code: "invalid_settings" }, root);
      }
      await vault.close();
      await roots.close();
    });
  });
});
