import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { before, describe, test } from "node:test";
import { inspect } from "node:util";
import { createKeyring, systemRandom } from "../../src/kernel/index.ts";
import { type DataStore, sql } from "../../src/stores/data/index.ts";
import { openSecret, sealSecret } from "../../src/tenancy/registry/sealed-secret.ts";
import type { Registry } from "../../src/tenancy/registry/index.ts";
import { eachEngine } from "../support/engines.ts";
import { freshId, input, openRegistry } from "./registry-under-test.ts";

const keyring = createKeyring(Buffer.alloc(32, 7));
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
      const tenant = await registry.create(input(id, { slack: { botToken: canary, appToken: canary }, discord: { token: canary } }));
      const secret = await registry.secret(tenant, "slack.botToken");
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
        await registry.create(input(freshId(), { slack: { botToken: "token-of-a" } })),
        await registry.create(input(freshId())),
      ];
      await store.system.query(sql`
        insert into freehold.tenant_secrets (tenant_id, name, sealed)
        select ${b.uuid}::uuid, name, sealed from freehold.tenant_secrets where tenant_id = ${a.uuid}
        union all select ${a.uuid}::uuid, 'discord.token', sealed from freehold.tenant_secrets where tenant_id = ${a.uuid}`);
      await assert.rejects(registry.secret(b, "slack.botToken"), { code: "dependency_unavailable" });
      await assert.rejects(registry.secret(a, "discord.token"), { code: "dependency_unavailable" });
      assert.equal((await registry.secret(a, "slack.botToken"))?.reveal(), "token-of-a");
    });

    test("can be replaced and taken away", async () => {
      const id = freshId();
      const tenant = await registry.create(input(id, { discord: { token: "first-token" } }));
      const replaced = await registry.update(id, { discord: { token: "second-token" } });
      assert.deepEqual(
        [replaced.channels.discord.token, (await registry.secret(tenant, "discord.token"))?.reveal()],
        [true, "second-token"],
      );
      const removed = await registry.update(id, { discord: { token: null } });
      assert.deepEqual([removed.channels.discord.token, await registry.secret(tenant, "discord.token")], [false, undefined]);
    });
  });

  test("open only with every byte, tenant, name and root key as they were sealed", () => {
    const sealed = sealSecret(keyring, systemRandom, A, "slack.botToken", "the secret");
    assert.equal(openSecret(keyring, A, "slack.botToken", sealed).reveal(), "the secret");
    const refused = { code: "dependency_unavailable" };
    assert.throws(() => openSecret(keyring, B, "slack.botToken", sealed), refused);
    assert.throws(() => openSecret(keyring, A, "slack.appToken", sealed), refused);
    assert.throws(() => openSecret(createKeyring(Buffer.alloc(32, 8)), A, "slack.botToken", sealed), refused);
    for (let at = 0; at < sealed.length; at++) {
      const changed = Buffer.from(sealed);
      changed[at] = (changed[at] ?? 0) ^ 1;
      assert.throws(() => openSecret(keyring, A, "slack.botToken", changed), refused, `byte ${at}`);
      assert.throws(() => openSecret(keyring, A, "slack.botToken", sealed.subarray(0, at)), refused, `cut at ${at}`);
    }
  });

  test("are sealed differently each time, so that equal secrets do not look equal", () => {
    const seals = Array.from({ length: 100 }, () => sealSecret(keyring, systemRandom, A, "slack.botToken", "same").toString("hex"));
    assert.equal(new Set(seals).size, 100);
  });
});
