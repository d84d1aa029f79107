import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { startEcho, startPlane } from "../../support/data-plane.ts";
import { assertProblem, consumersOf, documentOf } from "./access-document.ts";

const CREDENTIALS = { acme: { username: "ann", password: "pass:word two" }, globex: { username: "bob", password: "" } };
const MORE = consumersOf("basic-auth", CREDENTIALS);

function basic(username: string, password: string): { readonly headers: { readonly authorization: string } } {
  return { headers: { authorization: `Basic ${Buffer.from(`${username}:${password}`).toString("base64")}` } };
}

describe("basic-auth", () => {
  it("user name and password prove the tenant, to the letter, and do not go on to the upstream", async (t) => {
    const echo = await startEcho(t);
    const { send } = await startPlane(t, documentOf(echo.node, { "basic-auth": {} }, MORE));
    const { headers } = (await send("/x", basic("ann", "pass:word two"))).echoed();
    assert.equal(headers["x-tenant-id"], "acme");
    assert.equal(headers.authorization, undefined);
    assert.equal((await send("/x", basic("bob", ""))).echoed().headers["x-tenant-id"], "globex");
    for (const [name, password] of [
      ["ann", "pass"],
      ["ann", "pass:wordtwo"],
      ["ann", ""],
      ["a nn", "pass:word two"],
      ["bob", "x"],
      ["nobody", ""],
    ] as const) {
      const refused = await send("/x", basic(name, password));
      assertProblem(refused, 401, "unauthenticated");
      assert.equal(refused.headers["www-authenticate"], 'Basic realm="basic"');
    }
    assert.equal(echo.received.length, 2);
  });

  it("what is no such credential is refused", async (t) => {
    const echo = await startEcho(t);
    const { send } = await startPlane(t, documentOf(echo.node, { "basic-auth": { realm: "shop" } }, MORE));
    for (const authorization of ["Basic", "Basic !!!", "Bearer acme:user-1", `Basic ${Buffer.from("ann").toString("base64")}`]) {
      const refused = await send("/x", { headers: { authorization } });
      assertProblem(refused, 401, "unauthenticated");
      assert.equal(refused.headers["www-authenticate"], 'Basic realm="shop"');
    }
    assert.equal(echo.received.length, 0);
  });

  it("apisix: the dialect's texts", async (t) => {
    const echo = await startEcho(t);
    const { send } = await startPlane(t, documentOf(echo.node, { "basic-auth": {} }, MORE), { profile: "apisix" });
    assert.equal((await send("/x")).text, '{"message":"Missing authorization in request"}\n');
    assert.equal((await send("/x", { headers: { authorization: "Basic !" } })).text, '{"message":"Invalid authorization in request"}\n');
    assert.equal((await send("/x", basic("ann", "wrong"))).text, '{"message":"Invalid user authorization"}\n');
    assert.equal((await send("/x", basic("nobody", "wrong"))).text, '{"message":"Invalid user authorization"}\n');
  });
});
