import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { before, describe, test } from "node:test";
import { inspect } from "node:util";
import { createKeyring, Fault, systemRandom, type Tenant } from "../../src/kernel/index.ts";
import { type DataStore, sql } from "../../src/stores/data/index.ts";
import { createLocalRootKeys } from "../../src/stores/vault/index.ts";
import { openSecret, seal } from "../../src/tenancy/registry/sealed-secret.ts";
import type { Registry } from "../../src/tenancy/registry/index.ts";
import { eachEngine } from "../support/engines.ts";
import { until } from "../support/until.ts";
import { openVault, ROOT_KEY } from "../support/vaults.ts";
import { foundIn, freshId, input, openRegistry } from "./registry-under-test.ts";

const keyring = createKeyring(Buffer.alloc(32, 7));
/** As it was done before there was a vault. */
function sealSecret(tenantUuid: string, name: string, value: string): Buffer {
  return seal(keyring.key("tenant-secrets"), systemRandom, [tenantUuid, name], value);
}

const A = "018f0000-0000-7000-8000-00000000000a";
const B = "018f0000-0000-7000-8000-00000000000b";

describe("a tenant's secrets", () => {
  eachEngine((engine) => {
    let store: DataStore;
    let registry: Registry;

    before(async () => {
      store = await engine.open();
      registry = await openRegistry(store);
    });

    test("stand in no row, snapshot, list or log line as they are", async () => {
      const canary = `xoxb-${randomBytes(12).toString("hex")}`;
      const id = freshId();
      const tenant = await registry.create(input(id, { agent: { mcp: { one: canary, two: canary, three: canary } } }));
      const secret = await registry.secret(tenant, "agent.mcp.one");
      const { rows } = await store.system.query<{ row: string }>(sql`
        select t::text as row from freehold.tenants t union all select s::text from freehold.tenant_secrets s
        union all select c::text from freehold.registry_changes c`);
      assert.ok(rows.length >= 4);
      const shown = [JSON.stringify({ tenant, secret }), inspect({ tenant, secret }, { showHidden: true, depth: 9 }), String(secret)];
      shown.push(JSON.stringify(await registry.list("", 1_000)), ...rows.map(({ row }) => row));
      const forms = [canary, Buffer.from(canary).toString("hex"), Buffer.from(canary).toString("base64").slice(0, 20)];
      for (const text of shown) for (const form of forms) assert.ok(!text.includes(form), text.slice(0, 200));
      assert.equal(secret?.reveal(), canary);
    });

    test("do not open when their row is given to another tenant or another name", async () => {
      const [a, b] = [
        await registry.create(input(freshId(), { agent: { mcp: { one: "token-of-a" } } })),
        await registry.create(input(freshId())),
      ];
      await store.system.query(sql`
        insert into freehold.tenant_secrets (tenant_id, name, sealed, key_version)
        select ${b.uuid}::uuid, name, sealed, key_version from freehold.tenant_secrets where tenant_id = ${a.uuid}
        union all select ${a.uuid}::uuid, 'agent.mcp.three', sealed, key_version from freehold.tenant_secrets where tenant_id = ${a.uuid}`);
      await assert.rejects(registry.secret(b, "agent.mcp.one"), { name: "Fault" });
      await assert.rejects(registry.secret(a, "agent.mcp.three"), { code: "isolation_violation" });
      assert.equal((await registry.secret(a, "agent.mcp.one"))?.reveal(), "token-of-a");
    });

    test("can be replaced and taken away", async () => {
      const id = freshId();
      const tenant = await registry.create(input(id, { agent: { mcp: { three: "first-token" } } }));
      const replaced = await registry.update(id, { agent: { mcp: { three: "second-token" } } });
      assert.deepEqual(
        [replaced.agentSecrets.mcp, (await registry.secret(tenant, "agent.mcp.three"))?.reveal()],
        [["three"], "second-token"],
      );
      const removed = await registry.update(id, { agent: { mcp: { three: null } } });
      assert.deepEqual([removed.agentSecrets.mcp, await registry.secret(tenant, "agent.mcp.three")], [[], undefined]);
    });
  });

  eachEngine((engine) => {
    test("sealed before there was a vault open, and go into it pass by pass, also after passes that were cut off", async () => {
      const store = await engine.open();
      const registry = await openRegistry(store);
      const tenants: Tenant[] = [];
      for (let at = 0; at < 12; at++) tenants.push(await registry.create(input(freshId())));
      for (const [at, { uuid }] of tenants.entries()) {
        const sealed = sealSecret(uuid, "agent.mcp.one", `token ${at}`);
        await store.system.query(
          sql`insert into freehold.tenant_secrets (tenant_id, name, sealed) values (${uuid}, 'agent.mcp.one', ${sealed})`,
        );
      }
      const tokens = async (): Promise<(string | undefined)[]> =>
        await Promise.all(tenants.map(async (each) => (await registry.secret(each, "agent.mcp.one"))?.reveal()));
      const expected = tenants.map((_, at) => `token ${at}`);
      assert.deepEqual(await tokens(), expected);
      const cut = new AbortController();
      cut.abort();
      assert.deepEqual(await registry.resealSecrets(cut.signal), { resealed: 0, failed: 0 });
      // two processes at once: each secret is sealed anew once
      const other = await openRegistry(store);
      const reports = await Promise.all([registry.resealSecrets(), other.resealSecrets()]);
      assert.equal(
        reports.reduce((sum, { resealed }) => sum + resealed, 0),
        tenants.length,
      );
      assert.deepEqual(await registry.resealSecrets(), { resealed: 0, failed: 0 });
      assert.deepEqual(await tokens(), expected);
      const { rows } = await store.system.query<{ old: number }>(
        sql`select count(*)::integer as old from freehold.tenant_secrets where key_version is null`,
      );
      assert.equal(rows[0]?.old, 0);
    });

    test("are sealed anew with a key that was made anew", async () => {
      const store = await engine.open();
      const registry = await openRegistry(store);
      const vault = await openVault(store.system);
      const tenant = await registry.create(input(freshId(), { agent: { mcp: { one: "the-token" } } }));
      await vault.rotate(tenant, "secrets");
      await until("the registry's vault knows of the new key", async () => (await registry.resealSecrets()).resealed === 1);
      assert.equal((await registry.secret(tenant, "agent.mcp.one"))?.reveal(), "the-token");
      await vault.close();
    });

    test("that cannot be sealed change nothing and are not kept as they are", async () => {
      const store = await engine.open();
      const down = async (): Promise<never> => {
        throw new Fault("dependency_unavailable", "the root key is down");
      };
      const local = createLocalRootKeys([ROOT_KEY], systemRandom);
      const registry = await openRegistry(store, { roots: [{ ...local, wrap: down }] });
      const id = freshId();
      await assert.rejects(registry.create(input(id, { agent: { mcp: { one: "plain-token" } } })), { code: "dependency_unavailable" });
      assert.equal(await registry.find(id), undefined);
      const tenant = await registry.create(input(id));
      await assert.rejects(registry.update(id, { name: "Other", agent: { mcp: { three: "plain-token" } } }), {
        code: "dependency_unavailable",
      });
      assert.deepEqual((await foundIn(registry, id)).name, tenant.name);
      const { rows } = await store.system.query(sql`select * from freehold.tenant_secrets`);
      assert.deepEqual(rows, []);
    });
  });

  test("open only with every byte, tenant, name and root key as they were sealed", () => {
    const sealed = sealSecret(A, "agent.mcp.one", "the secret");
    assert.equal(openSecret(keyring, A, "agent.mcp.one", sealed).reveal(), "the secret");
    const refused = { code: "dependency_unavailable" };
    assert.throws(() => openSecret(keyring, B, "agent.mcp.one", sealed), refused);
    assert.throws(() => openSecret(keyring, A, "agent.mcp.two", sealed), refused);
    assert.throws(() => openSecret(createKeyring(Buffer.alloc(32, 8)), A, "agent.mcp.one", sealed), refused);
    for (let at = 0; at < sealed.length; at++) {
      const changed = Buffer.from(sealed);
      changed[at] = (changed[at] ?? 0) ^ 1;
      assert.throws(() => openSecret(keyring, A, "agent.mcp.one", changed), refused, `byte ${at}`);
      assert.throws(() => openSecret(keyring, A, "agent.mcp.one", sealed.subarray(0, at)), refused, `cut at ${at}`);
    }
  });

  test("are sealed differently each time, so that equal secrets do not look equal", () => {
    const seals = Array.from({ length: 100 }, () => sealSecret(A, "agent.mcp.one", "same").toString("hex"));
    assert.equal(new Set(seals).size, 100);
  });
});
