import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { createLocalJWKSet, decodeProtectedHeader, jwtVerify } from "jose";
import { askWith, assertContext, assertFault, createIdentityUnderTest, tenantId } from "./identity-under-test.ts";

suite("the signed context for upstreams", () => {
  const house = createIdentityUnderTest();
  const contextOf = async (id: string, sub = "user-9") =>
    assertContext(
      await askWith(house, house.identity.tokens.issue({ sub, tenantId: tenantId(id), roles: ["admin"], lifetimeMs: 3600_000 })),
      id,
    );
  const verify = async (text: string, audience: string) =>
    (
      await jwtVerify(text, createLocalJWKSet(house.identity.tokens.jwks()), {
        issuer: "freehold",
        audience,
        typ: "tenant-context+jwt",
        currentDate: new Date(house.clock.now()),
      })
    ).payload;

  test("says who and for whom, to one upstream, for five minutes", async () => {
    const text = house.identity.signContext(await contextOf("b"), "orders");
    const { tenant_id: tenant, sub, roles, exp = 0, iat = 0 } = await verify(text, "orders");
    assert.deepEqual([tenant, sub, roles, exp - iat], ["b", "user-9", ["admin"], 300]);
    await assert.rejects(verify(text, "billing"), { code: "ERR_JWT_CLAIM_VALIDATION_FAILED" });
  });

  test("is no access token: whoever receives it cannot call the platform with it", async () => {
    const text = house.identity.signContext(await contextOf("a"), "freehold");
    assert.equal(decodeProtectedHeader(text).typ, "tenant-context+jwt");
    assertFault(await askWith(house, text), "unauthenticated");
  });

  test("is another one for another tenant, principal or upstream, and is made anew before it gets old", async () => {
    const [a, b, other] = [await contextOf("a"), await contextOf("b"), await contextOf("a", "user-10")];
    const texts = [a, b, other].flatMap((context) =>
      ["orders", "billing"].map((audience) => house.identity.signContext(context, audience)),
    );
    assert.equal(new Set(texts).size, 6);
    assert.equal(house.identity.signContext(a, "orders"), texts[0]);
    house.clock.advance(240_000);
    const renewed = house.identity.signContext(a, "orders");
    assert.notEqual(renewed, texts[0]);
    assert.equal((await verify(renewed, "orders"))["tenant_id"], "a");
  });
});
