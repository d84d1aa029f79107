import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { describe, it } from "node:test";
import { startEcho, startPlane } from "../../support/data-plane.ts";
import { assertProblem, consumersOf, documentOf } from "./access-document.ts";

const SECRET = "a secret of thirty-two characters";

function tokenOf(claims: object): string {
  const encode = (part: object): string => Buffer.from(JSON.stringify(part)).toString("base64url");
  const signed = `${encode({ alg: "HS256" })}.${encode(claims)}`;
  return `${signed}.${createHmac("sha256", SECRET).update(signed).digest("base64url")}`;
}

describe("tenant-resolver", () => {
  it("a field and a place in the path of the settings may only agree", async (t) => {
    const echo = await startEcho(t);
    const settings = { header_name: "X-Org", path_pattern: "/orgs/{tenant_id}/*" };
    const { send, audits } = await startPlane(t, documentOf(echo.node, { "tenant-resolver": settings }));
    const as = "acme";
    assert.equal((await send("/orgs/acme/x", { as, headers: { "x-org": "acme" } })).status, 200);
    assert.equal((await send("/orgs/acme", { as })).status, 200);
    assert.equal((await send("/other/globex/x", { as })).status, 200);
    assertProblem(await send("/orgs/globex/x", { as }), 403, "tenant_mismatch");
    assertProblem(await send("/x", { as, headers: { "x-org": "globex" } }), 403, "tenant_mismatch");
    assertProblem(await send("/x", { as, headers: { "x-org": "not an id" } }), 400, "invalid_tenant_id");
    assertProblem(await send("/x", { as, headers: { "x-org": ["acme", "globex"] } }), 400, "malformed_request");
    assert.equal(echo.received.length, 3);
    const attempts = audits.filter(({ action }) => action === "cross_tenant_attempt");
    assert.deepEqual(
      attempts.map(({ reason, targetTenant }) => [reason, targetTenant]),
      [
        ["path_mismatch", "globex"],
        ["header_mismatch", "globex"],
      ],
    );
  });

  it("nothing is proved by naming a tenant", async (t) => {
    const echo = await startEcho(t);
    const settings = { header_name: "X-Org", path_pattern: "/orgs/{tenant_id}/*" };
    const { send } = await startPlane(t, documentOf(echo.node, { "tenant-resolver": settings }));
    assertProblem(await send("/orgs/acme/x", { headers: { "x-org": "acme", "x-tenant-id": "acme" } }), 401, "unauthenticated");
    assert.equal(echo.received.length, 0);
  });

  it("without `required` a call without a credential goes on for no tenant, and one with a wrong credential does not", async (t) => {
    const echo = await startEcho(t);
    const { send } = await startPlane(t, documentOf(echo.node, { "tenant-resolver": { required: false } }));
    const { status, echoed } = await send("/x", { headers: { "x-tenant-context": "forged" } });
    assert.equal(status, 200);
    assert.equal(echoed().headers["x-tenant-id"], undefined);
    assert.equal(echoed().headers["x-tenant-context"], undefined);
    assertProblem(await send("/x", { headers: { authorization: "Bearer nonsense" } }), 401, "unauthenticated");
    assert.equal((await send("/x", { as: "acme" })).echoed().headers["x-tenant-id"], "acme");
  });

  it("with `validate_against_jwt` the token of a consumer must name the tenant that the consumer is bound to", async (t) => {
    const echo = await startEcho(t);
    const plugins = { "jwt-auth": {}, "tenant-resolver": { validate_against_jwt: true, jwt_claim_name: "org" } };
    const credentials = { acme: { key: "a", secret: SECRET }, globex: { key: "g", secret: SECRET } };
    const { send } = await startPlane(t, documentOf(echo.node, plugins, consumersOf("jwt-auth", credentials)));
    const call = (claims: object) => send("/x", { headers: { authorization: `Bearer ${tokenOf(claims)}` } });
    assert.equal((await call({ key: "a", org: "acme" })).echoed().headers["x-tenant-id"], "acme");
    assertProblem(await call({ key: "a", org: "globex" }), 403, "tenant_mismatch");
    assertProblem(await call({ key: "a" }), 403, "tenant_mismatch");
    assert.equal(echo.received.length, 1);
  });

  it("wrong settings are refused", async (t) => {
    const { apply } = await startPlane(t, { routes: [] });
    const wrong = (settings: unknown): Promise<unknown> => apply(documentOf("127.0.0.1:1", { "tenant-resolver": settings }));
    await assert.rejects(wrong({ path_pattern: "/orgs/*" }), /has \{tenant_id\} once/);
    await assert.rejects(wrong({ path_pattern: "/{tenant_id}/{other}" }), /no other name/);
    await assert.rejects(wrong({ header_name: "X Org" }), /failed to match pattern/);
    await assert.rejects(wrong({ headr_name: "X-Org" }), /additional properties forbidden, found headr_name/);
  });
});

describe("tenant-context", () => {
  it("on a route it lets exactly its tenant through", async (t) => {
    const echo = await startEcho(t);
    const { send, audits } = await startPlane(
      t,
      documentOf(echo.node, { "tenant-context": { tenant_id: "acme", propagate_headers: true } }),
    );
    assert.equal((await send("/x", { as: "acme" })).status, 200);
    assertProblem(await send("/x", { as: "globex" }), 403, "tenant_mismatch");
    assertProblem(await send("/x"), 401, "unauthenticated");
    assert.equal(echo.received.length, 1);
    assert.ok(audits.some(({ reason, actorTenant }) => reason === "route_mismatch" && actorTenant?.id === "globex"));
  });

  it("wrong settings are refused", async (t) => {
    const { apply } = await startPlane(t, { routes: [] });
    const wrong = (settings: unknown): Promise<unknown> => apply(documentOf("127.0.0.1:1", { "tenant-context": settings }));
    await assert.rejects(wrong({ tenant_id: "Not A Tenant" }), /is no valid tenant id/);
    await assert.rejects(wrong({}), /property "tenant_id" is required/);
  });
});
