import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { startEcho, startPlane } from "../../support/data-plane.ts";
import { tenantOf } from "../../support/tenants.ts";
import { assertProblem, documentOf } from "./access-document.ts";

const WAYS = { "multi-auth": { auth_plugins: [{ "basic-auth": {} }, { "key-auth": {} }] } };
const CONSUMERS = {
  consumers: [
    { username: "ann", plugins: { "basic-auth": { username: "ann", password: "secret" }, "tenant-context": { tenant_id: "acme" } } },
    { username: "bob", plugins: { "key-auth": { key: "key-of-bob" }, "tenant-context": { tenant_id: "globex" } } },
  ],
};
const ANN = `Basic ${Buffer.from("ann:secret").toString("base64")}`;

describe("multi-auth", () => {
  it("any of the ways proves the caller, and none of them refuses it", async (t) => {
    const echo = await startEcho(t);
    const { send } = await startPlane(t, documentOf(echo.node, WAYS, CONSUMERS));
    assert.equal((await send("/x", { headers: { authorization: ANN } })).echoed().headers["x-tenant-id"], "acme");
    assert.equal((await send("/x", { headers: { apikey: "key-of-bob" } })).echoed().headers["x-tenant-id"], "globex");
    assertProblem(await send("/x", { headers: { apikey: "wrong" } }), 401, "unauthenticated");
    assertProblem(await send("/x"), 401, "unauthenticated");
    assert.equal(echo.received.length, 2);
  });

  it("apisix: the dialect's text and the last challenge", async (t) => {
    const echo = await startEcho(t);
    const { send } = await startPlane(t, documentOf(echo.node, WAYS, CONSUMERS), { profile: "apisix" });
    const refused = await send("/x");
    assert.deepEqual([refused.status, refused.text], [401, '{"message":"Authorization Failed"}\n']);
    assert.equal(refused.headers["www-authenticate"], 'apikey realm="key"');
    assert.equal((await send("/x?apikey=key-of-bob")).status, 200);
  });

  it("a tenant that is suspended is told so, and not tried in another way", async (t) => {
    const echo = await startEcho(t);
    const tenants = [{ ...tenantOf("acme"), status: "suspended" as const }, tenantOf("globex")];
    const { send } = await startPlane(t, documentOf(echo.node, WAYS, CONSUMERS), { tenants });
    assertProblem(await send("/x", { headers: { authorization: ANN, apikey: "key-of-bob" } }), 403, "tenant_suspended");
    assert.equal(echo.received.length, 0);
  });

  it("wrong settings are refused with the dialect's words", async (t) => {
    const { apply } = await startPlane(t, { routes: [] });
    const wrong = (ways: unknown): Promise<unknown> => apply(documentOf("127.0.0.1:1", { "multi-auth": { auth_plugins: ways } }));
    await assert.rejects(wrong([{ "key-auth": {} }]), /expect array to have at least 2 items/);
    await assert.rejects(wrong([{ "key-auth": {} }, { cors: {} }]), /cors plugin (?:did not found|is not supported)/);
    await assert.rejects(wrong([{ "key-auth": { header: 1 } }, { "jwt-auth": {} }]), /plugin key-auth check schema failed/);
  });
});
