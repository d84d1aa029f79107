import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { createFreehold, Fault, type Freehold, sql } from "freehold";
import type { TestFreehold } from "freehold/testing";
import { createKeyring, systemClock, type TenantContext } from "../../src/kernel/index.ts";
import { createContextSigner, createTokenIssuer, ownSigningKey } from "../../src/tenancy/identity/index.ts";
import { createApp, type App } from "../../src/cli/app.ts";
import { parseSettings } from "../../src/cli/settings.ts";
import { createIssuerKey } from "../identity/issuer-keys.ts";
import { freshDatabase, templateFolder } from "../support/databases.ts";
import { copyTemplate } from "../support/embedded-template.ts";
import { temporaryFolder } from "../support/engines.ts";
import { contextOf, tenantIdOf, tenantOf } from "../support/tenants.ts";
import { until } from "../support/until.ts";
import { startTestFreehold } from "./service.ts";

function codeOf(error: unknown): string {
  return error instanceof Fault ? error.code : String(error);
}

/** Proves a context that was signed with this root key, for this audience. */
async function proveWith(freehold: Freehold, rootKey: Buffer, context: TenantContext, audience = "orders"): Promise<TenantContext> {
  const text = createContextSigner(ownSigningKey(createKeyring(rootKey)), systemClock)(context, audience);
  const request = { method: "GET", target: "/", fields: [["X-Tenant-Context", text]] as const, remoteAddress: "" };
  return (await freehold.authenticate(request)).context;
}

describe("a service on a database of its own", () => {
  let testing: TestFreehold;
  before(async () => {
    testing = await startTestFreehold();
  });

  test("knows no tenant that was not vouched for", async () => {
    await assert.rejects(testing.freehold.forTenant("acme", "nightly"), { code: "not_found" });
    await assert.rejects(testing.freehold.forTenant("ACME", "nightly"), { code: "invalid_tenant_id" });
  });

  test("knows a tenant from its first request on, with the plan, the features and the internal id that the gateway gave it", async () => {
    const [first, ...others] = await Promise.all(Array.from({ length: 20 }, () => testing.tenant("acme")));
    assert.ok(first);
    for (const other of others)
      assert.deepEqual(other.context.tenant, first.context.tenant, "requests that come together know the same tenant");
    const scope = await testing.freehold.forTenant("acme", "nightly");
    assert.equal(scope.context.tenant.uuid, first.context.tenant.uuid);
    assert.equal(scope.context.tenant.plan, "professional");
    assert.deepEqual(scope.context.tenant.features, ["advanced_analytics"]);
    assert.equal(scope.context.provedBy, "system");
  });

  test("opens a tenant for a reason that stands in its audit trail first", async () => {
    const { scope } = await testing.tenant("acme");
    await testing.freehold.withTenant("acme", "monthly statement", async () => {
      assert.equal(testing.freehold.logFields().tenantId, "acme");
      const { rows } = await scope.data.query<{ reason: string; actor: string }>(sql`
        select reason, actor from freehold.audit_entries where action = 'tenant_opened' order by id desc limit 1`);
      assert.deepEqual(rows, [{ reason: "monthly statement", actor: "service:service-under-test" }]);
    });
    await assert.rejects(testing.freehold.forTenant("acme", " "), { code: "invalid_settings" });
  });

  test("gives nothing for a context that was made by hand, or proved by another", async () => {
    const { context } = await testing.tenant("acme");
    for (const strange of [contextOf("acme"), { ...context }, structuredClone(context)]) {
      assert.throws(() => testing.freehold.scope(strange), { code: "isolation_violation" });
      assert.throws(() => testing.freehold.tenantFetch(strange), { code: "isolation_violation" });
      assert.throws(() => testing.freehold.seal(strange, { topic: "x.mine", type: "a", key: "k", data: {} }), {
        code: "isolation_violation",
      });
    }
    assert.equal(testing.freehold.scope(context).context, context);
  });

  test("opens a sealed event for its own tenant, and none that was changed", async () => {
    const { context } = await testing.tenant("acme");
    await testing.tenant("globex");
    const sealed = testing.freehold.seal(context, { topic: "x.orders", type: "order.placed", key: "o-1", data: { total: 12 } });
    const { event, scope } = await testing.freehold.open(sealed);
    assert.deepEqual([event.data, scope.context.tenant.id, scope.context.provedBy], [{ total: 12, tenantId: "acme" }, "acme", "event"]);
    for (const changed of [sealed.replace("12", "13"), sealed.replaceAll("acme", "globex"), `${sealed} `, "{}", ""]) {
      await assert.rejects(testing.freehold.open(changed), { code: "malformed_request" });
    }
    await assert.rejects(
      async () => testing.freehold.seal(context, { topic: "x.orders", type: "order.placed", key: "k", data: { tenantId: "globex" } }),
      { code: "tenant_mismatch" },
    );
  });
});

describe("what a gateway vouches for over time", () => {
  const rootKey = randomBytes(32);
  let freehold: Freehold;
  before(async () => {
    const gatewayKeys = createTokenIssuer(ownSigningKey(createKeyring(rootKey)), systemClock).jwks();
    freehold = await createFreehold({ audience: "orders", database: { folder: copyTemplate(await templateFolder()) }, gatewayKeys });
  });
  after(() => freehold.close());
  const at = (ms: number, context: TenantContext): string =>
    createContextSigner(ownSigningKey(createKeyring(rootKey)), { ...systemClock, now: () => systemClock.now() + ms })(context, "orders");
  const prove = async (text: string): Promise<TenantContext> =>
    (await freehold.authenticate({ method: "GET", target: "/", fields: [["x-tenant-context", text]], remoteAddress: "" })).context;

  test("a changed plan is taken on, and an older statement does not change it back", async () => {
    assert.equal((await prove(at(0, contextOf(tenantOf("acme", { plan: "starter" }))))).tenant.plan, "starter");
    const grown = contextOf(tenantOf("acme", { plan: "our-own", features: ["beta"] }));
    assert.equal((await prove(at(2_000, grown))).tenant.plan, "our-own");
    const { tenant } = await prove(at(-60_000, contextOf(tenantOf("acme", { plan: "starter" }))));
    assert.deepEqual([tenant.plan, tenant.features], ["our-own", ["beta"]]);
  });

  test("a name that stands for another internal id is refused: it would open the first tenant's data to the second", async () => {
    await prove(at(0, contextOf("globex")));
    const other = contextOf(tenantOf("globex", { uuid: "0198c0de-0000-7000-8000-000000000009" }));
    await assert.rejects(prove(at(0, other)), { code: "unauthenticated" });
  });
});

describe("a service on the gateway's database", () => {
  const rootKey = randomBytes(32);
  let app: App;
  let freehold: Freehold;
  before(async () => {
    const url = await freshDatabase();
    const settings = {
      profile: "development",
      port: 0,
      adminPort: 0,
      data: temporaryFolder(),
      database: { url },
      demo: false,
      logLevel: "silent",
    };
    app = await createApp({ settings: parseSettings(settings, "test"), rootKey, readVariable: () => undefined });
    for (const id of ["acme", "globex"]) await app.services.registry.create({ id: tenantIdOf(id), name: id, plan: "starter" });
    const internalOrigins = [{ origin: "http://127.0.0.1:1", audience: "billing" }];
    freehold = await createFreehold({
      audience: "orders",
      database: { url, shared: true },
      rootKey: rootKey.toString("hex"),
      internalOrigins,
    });
  });
  after(async () => {
    await freehold.close();
    await app.close();
  });

  test("believes the gateway without asking it for keys, and takes tenants from its registry", async () => {
    const tenant = await app.services.registry.find(tenantIdOf("acme"));
    assert.ok(tenant);
    const { tenant: found } = await proveWith(freehold, rootKey, contextOf(tenant));
    assert.equal(found.uuid, tenant.uuid);
    assert.deepEqual(found.quotas, tenant.quotas);
    await assert.rejects(proveWith(freehold, randomBytes(32), contextOf(tenant)), { code: "unauthenticated" });
    await assert.rejects(proveWith(freehold, rootKey, contextOf(tenant), "billing"), { code: "unauthenticated" });
    await assert.rejects(proveWith(freehold, rootKey, contextOf("acme")), { code: "unauthenticated" }, "another internal id");
    await assert.rejects(proveWith(freehold, rootKey, contextOf("never-made")), { code: "unauthenticated" });
  });

  test("gives no scope of a tenant from the moment that it is suspended", async () => {
    const { tenant } = (await freehold.forTenant("globex", "nightly")).context;
    const sealed = freehold.seal((await freehold.forTenant("globex", "nightly")).context, {
      topic: "x.mine",
      type: "a",
      key: "k",
      data: {},
    });
    await app.services.registry.setStatus(tenantIdOf("globex"), "suspended");
    await until("the service has followed the feed", () =>
      freehold.forTenant("globex", "nightly").then(
        () => false,
        (error: unknown) => codeOf(error) === "tenant_suspended",
      ),
    );
    await assert.rejects(proveWith(freehold, rootKey, contextOf(tenant)), { code: "tenant_suspended" });
    await assert.rejects(freehold.open(sealed), { code: "tenant_suspended" });
  });
});

test("access tokens of a configured issuer prove its own tenants, by the gateway's rules", async () => {
  const issuer = createIssuerKey("ES256", "k1");
  const settings = { issuer: "https://id.test", audience: "orders", tenants: ["acme"], jwks: { keys: [issuer.jwk] } };
  const { freehold, tenant, headers } = await startTestFreehold({ issuers: [settings], report: () => undefined });
  await tenant("acme"); // a database of its own knows who was vouched for
  await tenant("globex");
  const iat = Math.floor(Date.now() / 1000);
  const claims = { iss: "https://id.test", aud: "orders", sub: "ann", tenant_id: "acme", roles: ["admin"], iat, exp: iat + 600 };
  const ask = async (fields: Readonly<Record<string, string>>, target = "/orders"): Promise<string> =>
    await freehold
      .authenticate({ method: "GET", target, fields: Object.entries(fields), remoteAddress: "192.0.2.1" })
      .then(({ context }) => `${context.tenant.id} ${context.principal.id} ${context.provedBy}`, codeOf);
  const bearer = (change: Record<string, unknown> = {}): Record<string, string> => ({
    authorization: `Bearer ${issuer.sign({ ...claims, ...change })}`,
  });
  assert.equal(await ask(bearer()), "acme ann jwt");
  assert.equal(await ask({ ...bearer(), "x-tenant-id": "acme" }), "acme ann jwt");
  assert.equal(await ask({ ...bearer(), "x-tenant-id": "globex" }), "tenant_mismatch");
  for (const change of [
    { tenant_id: "globex" },
    { tenant_id: undefined },
    { aud: "billing" },
    { exp: iat - 61 },
    { iss: "https://other.test" },
  ]) {
    assert.equal(await ask(bearer(change)), "unauthenticated", JSON.stringify(change));
  }
  const [head, payload] = issuer.sign(claims, { alg: "none" }).split(".");
  for (const text of [`${head}.${payload}.`, "acme:user-1", "sk-fh-0-0-0"]) {
    assert.equal(await ask({ authorization: `Bearer ${text}` }), "unauthenticated", text);
  }
  assert.equal(await ask({ ...bearer(), "x-api-key": "x" }), "ambiguous_credentials");
  assert.equal(await ask({}, "/orders?access_token=x"), "malformed_request");
  assert.equal(await ask({ ...headers("globex"), ...bearer() }), "globex user-1 jwt", "what the gateway signed decides");
});

test("a leak is found in every form, and what is one's own is none", async () => {
  const { assertNoLeak, canary } = await startTestFreehold();
  const theirs = canary("globex");
  const bytes = Buffer.from(`..${theirs}`);
  const leaks: readonly unknown[] = [
    `a ${theirs} b`,
    bytes,
    bytes.toString("base64"),
    Buffer.from(`.${theirs}.`).toString("base64url"),
    Buffer.from(theirs).toString("hex"),
    { rows: [{ name: theirs }] },
    new Error("outer", { cause: new Error(theirs) }),
    [new Map([["x", theirs]])],
  ];
  for (const leak of leaks) assert.throws(() => assertNoLeak("acme", leak), /globex/);
  for (const fine of ["", canary("acme"), { rows: [] }, undefined, null, 12n]) assertNoLeak("acme", fine);
  assertNoLeak("globex", theirs);
});

test("settings that cannot be right are refused with their place, before anything is opened", async () => {
  const folder = "/nowhere/at/all";
  const database = { folder };
  const audience = "orders";
  const bad = [
    [{ audience: "", database }, /audience/],
    [{ audience, database: { url: "mysql://x" } }, /database/],
    [{ audience, database, gatewayUrl: "ftp://gateway" }, /gatewayUrl/],
    [{ audience, database, gatewayUrl: "http://gateway.example" }, /gatewayUrl: must be https/],
    [{ audience, database, internalOrigins: [{ origin: "http://reports/path", audience: "reports" }] }, /internalOrigins/],
    [{ audience, database, internalOrigins: [{ origin: "http://127.0.0.1:1", audience: "billing" }] }, /database\.shared/],
    [{ audience, database, rootkey: "typo" }, /rootkey/],
  ] as const;
  for (const [options, place] of bad) {
    await assert.rejects(createFreehold(options), (error: { code: string; message: string }) => {
      assert.equal(error.code, "invalid_settings");
      assert.match(error.message, place);
      return true;
    });
  }
  assert.ok(!existsSync(folder));
});
