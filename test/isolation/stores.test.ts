import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { after, describe, test } from "node:test";
import { inspect } from "node:util";
import { pieces, readAll } from "../files/files-under-test.ts";
import { S3_IDENTITY, startS3 } from "../files/s3-server.ts";
import { guard, startFreehold } from "../support/freehold.ts";
import { startRedis } from "../support/redis.ts";
import { assertNoCanary, contextOf, valueOf } from "../support/tenants.ts";
import { until } from "../support/until.ts";
import { IDENTITY, PLATFORM_KEY, REGION, startKms } from "../vault/kms-server.ts";

const MINUTE_MS = 60_000;

// the whole program over everything that can be elsewhere
const [kms, redis, s3] = [await startKms(), await startRedis(), await startS3("freehold-files")];
const freehold = await startFreehold({
  settings: {
    vault: {
      roots: [
        {
          kind: "aws-kms",
          region: REGION,
          keyId: PLATFORM_KEY,
          endpoint: kms.url,
          accessKeyIdEnv: "KMS_ID",
          secretAccessKeyEnv: "KMS_SECRET",
          sessionTokenEnv: "KMS_SESSION",
        },
      ],
    },
    cache: { kind: "redis", url: redis.url },
    files: { kind: "s3", region: REGION, bucket: "freehold-files", endpoint: s3.url },
  },
  variables: {
    KMS_ID: IDENTITY.accessKeyId,
    KMS_SECRET: IDENTITY.secretAccessKey,
    KMS_SESSION: IDENTITY.sessionToken ?? "",
    AWS_ACCESS_KEY_ID: S3_IDENTITY.accessKeyId,
    AWS_SECRET_ACCESS_KEY: S3_IDENTITY.secretAccessKey,
  },
});
after(async () => {
  kms.close();
  s3.close();
  await redis.kill();
});

describe("the stores of the whole program", () => {
  guard(freehold);
  const { app, platform } = freehold;
  const [a, b] = [contextOf("a"), contextOf("b")];

  test("give each tenant its own, over a key management service, Redis and S3", async () => {
    const [ofA, ofB] = [app.stores.scope(a), app.stores.scope(b)];
    await until("the cache is reached", async () => {
      await ofA.cache.set(["same"], valueOf("a", "value"), MINUTE_MS);
      return (await ofA.cache.get(["same"])) !== undefined;
    });
    await ofB.cache.set(["same"], valueOf("b", "value"), MINUTE_MS);
    await ofA.files.put("same.txt", pieces(valueOf("a", "value")));
    await ofB.files.put("same.txt", pieces(valueOf("b", "value")));
    const place = { purpose: "columns", table: "documents", column: "body", row: ["doc-1"] } as const;
    const sealed = await ofB.vault.seal(place, Buffer.from(valueOf("b", "value")));
    assertNoCanary(await ofA.cache.get(["same"]));
    assertNoCanary(await readAll((await ofA.files.get("same.txt")).content));
    assertNoCanary(sealed);
    await assert.rejects(ofA.vault.open(place, sealed), { code: "isolation_violation" });
    assert.equal((await readAll((await ofB.files.get("same.txt")).content)).toString(), valueOf("b", "value"));
    assert.equal(await ofB.cache.get(["same"]), valueOf("b", "value"));
    assert.equal((await ofB.vault.open(place, sealed)).toString(), valueOf("b", "value"));
    assertNoCanary(Buffer.concat([...s3.buckets.values()].flatMap(({ objects }) => [...objects.values()])));
    assert.deepEqual([...kms.problems, ...s3.problems], []);
  });

  test("show no secret in answers, lists, the audit trail, logs, metrics, exports, errors or rows", async () => {
    const secret = `xoxb-${randomBytes(16).toString("hex")}`;
    const client = freehold.trusted(platform.admin);
    const id = `secretive-${randomBytes(4).toString("hex")}`;
    const created = await client.post("/admin/v1/tenants", { id, name: "Secretive", agent: { mcp: { one: secret, two: secret } } });
    assert.equal(created.status, 201, created.text);
    const shown: string[] = [created.text];
    for (const reply of [
      await client.send("PATCH", `/admin/v1/tenants/${id}`, { json: { agent: { mcp: { three: secret } } } }),
      await client.send("PATCH", `/admin/v1/tenants/${id}`, { json: { agent: { mcp: { three: [secret] } } } }),
      await client.send("PATCH", `/admin/v1/tenants/${id}`, { json: { slack: { token: secret } } }),
      await client.post("/admin/v1/tenants", { id, name: "Again", agent: { mcp: { one: secret } } }),
      await client.get(`/admin/v1/tenants/${id}`),
      await client.get("/admin/v1/tenants"),
      await client.get("/admin/v1/audit"),
    ]) {
      shown.push(reply.text);
    }
    kms.down = true;
    const down = await client.post("/admin/v1/tenants", { id: `${id}-2`, name: "No key", agent: { mcp: { one: secret } } });
    kms.down = false;
    assert.deepEqual([down.status, down.code], [503, "dependency_unavailable"]);
    shown.push(down.text, (await freehold.trusted(platform.viewer, "admin").get("/metrics")).text);
    const tenant = await app.services.registry.find(a.tenant.id);
    const secretive = await app.services.registry.find(contextOf(id).tenant.id);
    assert.ok(tenant && secretive);
    assert.equal((await app.services.registry.secret(secretive, "agent.mcp.one"))?.reveal(), secret);
    for (const lifecycle of app.stores.lifecycles) {
      for await (const record of lifecycle.export(secretive)) shown.push(inspect(record, { depth: 9 }));
    }
    await app.services.audit.flush();
    shown.push(
      ...freehold.logLines,
      inspect(secretive, { depth: 9, showHidden: true }),
      inspect(app.stores.scope(contextOf(secretive)), { depth: 9 }),
    );
    for (const { table } of await freehold.sql<{ table: string }>(
      "select format('%I.%I', schemaname, tablename) as table from pg_tables where schemaname like 'freehold%'",
    )) {
      shown.push(...(await freehold.sql<{ row: string }>(`select t::text as row from ${table} t`)).map(({ row }) => row));
    }
    assert.ok(shown.length > 50);
    const bytes = Buffer.from(secret);
    const forms = [secret, bytes.toString("hex"), bytes.toString("base64").slice(0, 24), bytes.toString("base64url").slice(0, 24)];
    for (const text of shown) for (const form of forms) assert.ok(!text.includes(form), text.slice(0, 300));
  });

  test("are told of their keys, given new ones, and put under a root key of their own, by an operator", async () => {
    const client = freehold.trusted(platform.admin);
    const own = `arn:aws:kms:${REGION}:444455556666:key/of-${randomBytes(4).toString("hex")}`;
    const id = `owner-${randomBytes(4).toString("hex")}`;
    await client.post("/admin/v1/tenants", { id, name: "Owner", agent: { mcp: { one: "xoxb-of-the-owner" } } });
    const rotated = await client.post(`/admin/v1/tenants/${id}/vault/rotate`, { purpose: "secrets" });
    assert.deepEqual([rotated.status, rotated.json()], [200, { purpose: "secrets", version: 2 }]);
    const wrong = await client.send("PUT", `/admin/v1/tenants/${id}/vault/root`, { json: { root: `aws-kms:${own}` } });
    assert.deepEqual([wrong.status, wrong.code], [422, "invalid_settings"]);
    const tenant = await app.services.registry.find(contextOf(id).tenant.id);
    assert.ok(tenant);
    kms.keys.set(own, { enabled: true, tenant: tenant.uuid });
    const right = await client.send("PUT", `/admin/v1/tenants/${id}/vault/root`, { json: { root: `aws-kms:${own}` } });
    const described = right.json<{ root: string; keys: { purpose: string; version: number; root: string }[] }>();
    assert.deepEqual([right.status, described.root], [200, `aws-kms:${own}`]);
    assert.deepEqual(
      described.keys.map(({ purpose, version, root }) => [purpose, version, root]),
      // the first key of each purpose was made with the tenant
      [
        ["cache", 1],
        ["columns", 1],
        ["files", 1],
        ["secrets", 1],
        ["secrets", 2],
      ].map((key) => [...key, `aws-kms:${own}`]),
    );
    assert.deepEqual((await client.get(`/admin/v1/tenants/${id}/vault`)).json(), right.json());
    const rewrapped = await client.post("/admin/v1/vault/rewrap", {});
    assert.equal(rewrapped.status, 200, rewrapped.text);
    assert.equal((await app.services.registry.secret(tenant, "agent.mcp.one"))?.reveal(), "xoxb-of-the-owner");
    await app.services.audit.flush();
    const actions = (await client.get("/admin/v1/audit")).text;
    for (const action of ["vault_key_rotated", "vault_root_changed", "vault_rewrapped"]) assert.ok(actions.includes(action), action);
  });

  test("end with the tenant, one after the other, and nothing of it is left in any of them", async () => {
    const context = contextOf(`leaving-${randomBytes(4).toString("hex")}`);
    const scope = app.stores.scope(context);
    for (const lifecycle of app.stores.lifecycles) await lifecycle.provision(context.tenant);
    await scope.files.put("a/b", pieces("x"));
    await scope.cache.set(["k"], 1, MINUTE_MS);
    for (const lifecycle of app.stores.lifecycles) {
      assert.ok((await lifecycle.remains(context.tenant)).length > 0, lifecycle.name);
      await lifecycle.erase(context.tenant);
      assert.deepEqual(await lifecycle.remains(context.tenant), [], lifecycle.name);
    }
    for (const lifecycle of app.stores.lifecycles) assert.deepEqual(await lifecycle.remains(context.tenant), [], lifecycle.name);
    await assert.rejects(scope.files.put("a/b", pieces("x")), { code: "not_found" });
    const rows = await freehold.sql<{ keys: string }>("select count(*) as keys from freehold.vault_keys where tenant_id = $1", [
      context.tenant.uuid,
    ]);
    assert.equal(Number(rows[0]?.keys), 0);
  });
});
