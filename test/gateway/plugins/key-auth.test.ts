import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { startEcho, startPlane } from "../../support/data-plane.ts";
import { tenantOf } from "../../support/tenants.ts";
import { assertProblem, consumersOf, documentOf } from "./access-document.ts";

const CREDENTIALS = { acme: { key: "key-of-acme" }, globex: { key: "key-of-globex" } };
const UNBOUND = { username: "nobodys", plugins: { "key-auth": { key: "key-of-nobody" } } };

describe("key-auth", () => {
  it("a key proves the tenant that its consumer is bound to, and does not go on to the upstream", async (t) => {
    const echo = await startEcho(t);
    const { send } = await startPlane(t, documentOf(echo.node, { "key-auth": {} }, consumersOf("key-auth", CREDENTIALS)));
    const { status, echoed } = await send("/x", { headers: { apikey: "key-of-acme" } });
    assert.equal(status, 200);
    const { headers } = echoed();
    assert.equal(headers["x-tenant-id"], "acme");
    assert.equal(headers["x-consumer-username"], "acme-app");
    assert.equal(headers["apikey"], undefined);
    assert.equal((await send("/x", { headers: { apikey: "key-of-globex" } })).echoed().headers["x-tenant-id"], "globex");
  });

  it("an absent, a wrong and a tenantless key get the same answer, and nothing reaches the upstream", async (t) => {
    const echo = await startEcho(t);
    const document = documentOf(echo.node, { "key-auth": {} }, consumersOf("key-auth", CREDENTIALS, [UNBOUND]));
    const { send } = await startPlane(t, document);
    for (const headers of [{}, { apikey: "key-of-acme2" }, { apikey: "" }, { apikey: "key-of-nobody" }]) {
      assertProblem(await send("/x", { headers }), 401, "unauthenticated");
    }
    assert.equal(echo.received.length, 0);
  });

  it("field and path may only agree with the key's tenant; a disagreement is refused and audited", async (t) => {
    const echo = await startEcho(t);
    const { send, audits } = await startPlane(t, documentOf(echo.node, { "key-auth": {} }, consumersOf("key-auth", CREDENTIALS)));
    const apikey = "key-of-acme";
    assert.equal((await send("/x", { headers: { apikey, "x-tenant-id": "acme" } })).status, 200);
    assert.equal((await send("/tenants/acme/x", { headers: { apikey } })).status, 200);
    assertProblem(await send("/x", { headers: { apikey, "x-tenant-id": "globex" } }), 403, "tenant_mismatch");
    assertProblem(await send("/tenants/globex/x", { headers: { apikey } }), 403, "tenant_mismatch");
    assertProblem(await send("/tenants/globex/x", { headers: { apikey, "x-tenant-id": "acme" } }), 403, "tenant_mismatch");
    assert.equal(echo.received.length, 2);
    const attempts = audits.filter(({ action }) => action === "cross_tenant_attempt");
    assert.deepEqual(
      attempts.map(({ targetTenant, actorTenant }) => [actorTenant?.id, targetTenant]),
      [
        ["acme", "globex"],
        ["acme", "globex"],
        ["acme", "globex"],
      ],
    );
  });

  it("a host that stands for another tenant is refused", async (t) => {
    const echo = await startEcho(t);
    const ports = {
      claimedTenant: ({ host }: { host: string | undefined }) => (host === "globex.example" ? tenantOf("globex").id : undefined),
    };
    const document = documentOf(echo.node, { "key-auth": {} }, consumersOf("key-auth", CREDENTIALS));
    const { send } = await startPlane(t, document, { ports });
    const headers = { apikey: "key-of-acme" };
    assert.equal((await send("/x", { headers: { ...headers, host: "other.example" } })).status, 200);
    assertProblem(await send("/x", { headers: { ...headers, host: "globex.example" } }), 403, "tenant_mismatch");
    assert.equal(echo.received.length, 1);
  });

  it("a key of a suspended or missing tenant opens nothing", async (t) => {
    const echo = await startEcho(t);
    const tenants = [{ ...tenantOf("acme"), status: "suspended" as const }];
    const document = documentOf(echo.node, { "key-auth": {} }, consumersOf("key-auth", CREDENTIALS));
    const { send } = await startPlane(t, document, { tenants });
    assertProblem(await send("/x", { headers: { apikey: "key-of-acme" } }), 403, "tenant_suspended");
    assertProblem(await send("/x", { headers: { apikey: "key-of-globex" } }), 401, "unauthenticated");
    assert.equal(echo.received.length, 0);
  });

  it("a key in the address counts only where the settings name it, and never beside another", async (t) => {
    const echo = await startEcho(t);
    const more = consumersOf("key-auth", CREDENTIALS);
    const { send, apply } = await startPlane(t, documentOf(echo.node, { "key-auth": {} }, more));
    assertProblem(await send("/x?apikey=key-of-acme"), 401, "unauthenticated");
    await apply(documentOf(echo.node, { "key-auth": { query: "token" } }, more));
    const { echoed } = await send("/x?a=1&token=key-of-acme&b=%20");
    assert.equal(echoed().target, "/x?a=1&b=%20");
    assertProblem(await send("/x?token=key-of-acme", { headers: { apikey: "key-of-globex" } }), 400, "ambiguous_credentials");
    assertProblem(await send("/x", { headers: { apikey: ["key-of-acme", "key-of-globex"] } }), 400, "malformed_request");
  });

  it("apisix: the dialect's texts, challenge, query and hiding", async (t) => {
    const echo = await startEcho(t);
    const more = consumersOf("key-auth", CREDENTIALS, [UNBOUND]);
    const { send, apply } = await startPlane(t, documentOf(echo.node, { "key-auth": {} }, more), { profile: "apisix" });
    const missing = await send("/x");
    assert.equal(missing.status, 401);
    assert.equal(missing.text, '{"message":"Missing API key in request"}\n');
    assert.equal(missing.headers["www-authenticate"], 'apikey realm="key"');
    assert.equal((await send("/x?apikey=wrong")).text, '{"message":"Invalid API key in request"}\n');
    const { headers, target } = (await send("/x?apikey=key-of-nobody")).echoed();
    assert.equal(headers["x-consumer-username"], "nobodys");
    assert.equal(target, "/x?apikey=key-of-nobody");
    await apply(documentOf(echo.node, { "key-auth": { hide_credentials: true } }, more));
    assert.equal((await send("/x?apikey=key-of-nobody&a=1")).echoed().target, "/x?a=1");
  });

  it("the anonymous consumer stands in for whoever has no valid key; one that is not there refuses", async (t) => {
    const echo = await startEcho(t);
    const more = consumersOf("key-auth", CREDENTIALS);
    const anonymous = (name: string): unknown => documentOf(echo.node, { "key-auth": { anonymous_consumer: name } }, more);
    const { send, apply } = await startPlane(t, anonymous("globex-app"));
    assert.equal((await send("/x", { headers: { apikey: "wrong" } })).echoed().headers["x-tenant-id"], "globex");
    assert.equal((await send("/x", { headers: { apikey: "key-of-acme" } })).echoed().headers["x-tenant-id"], "acme");
    await apply(anonymous("missing"));
    assertProblem(await send("/x"), 401, "unauthenticated");
  });

  it("wrong settings are refused with the dialect's words", async (t) => {
    const { apply } = await startPlane(t, { routes: [] });
    await assert.rejects(apply(documentOf("127.0.0.1:1", { "key-auth": { header: 1 } })), /property "header" validation failed/);
    await assert.rejects(apply({ consumers: [{ username: "a", plugins: { "key-auth": {} } }] }), /property "key" is required/);
  });
});
