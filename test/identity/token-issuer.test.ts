import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { test } from "node:test";
import { createLocalJWKSet, jwtVerify } from "jose";
import type { Random } from "../../src/kernel/index.ts";
import { createSigningKey, exportSigningKey, parseSigningKey } from "../../src/tenancy/identity/index.ts";
import { createTokenIssuer } from "../../src/tenancy/identity/token-issuer.ts";
import { createManualClock } from "../support/clock.ts";
import { askWith, assertContext, assertFault, createIdentityUnderTest, tenantId } from "./identity-under-test.ts";

test("the platform's own token is accepted for exactly its tenant, roles and lifetime", async () => {
  const house = createIdentityUnderTest();
  const token = house.identity.tokens.issue({ sub: "user-9", tenantId: tenantId("b"), roles: ["admin"], lifetimeMs: 60_000 });
  const { principal } = assertContext(await askWith(house, token), "b");
  assert.deepEqual([principal.id, principal.roles], ["user-9", ["admin"]]);
  house.clock.advance(119_999);
  assertContext(await askWith(house, token), "b");
  house.clock.advance(1);
  assertFault(await askWith(house, token), "unauthenticated");
});

test("the platform's own token for an operator makes an operator", async () => {
  const house = createIdentityUnderTest();
  const identified = await askWith(house, house.identity.tokens.issuePlatform({ sub: "op", roles: ["viewer"], lifetimeMs: 60_000 }));
  assert.ok(identified.ok && identified.realm === "platform");
  assert.deepEqual(identified.principal, { realm: "platform", kind: "user", id: "op", roles: ["viewer"] });
});

test("a token of another installation is refused", async () => {
  const house = createIdentityUnderTest();
  const foreign = createTokenIssuer(createSigningKey(), house.clock);
  assertFault(await askWith(house, foreign.issue({ sub: "u", tenantId: tenantId("a"), roles: [], lifetimeMs: 60_000 })), "unauthenticated");
});

test("the published keys are public, and another library verifies with them", async () => {
  const issuer = createTokenIssuer(createSigningKey(), createManualClock());
  const [key] = issuer.jwks().keys;
  assert.deepEqual(Object.keys(key ?? {}).toSorted(), ["alg", "crv", "kid", "kty", "use", "x"]);
  const token = issuer.issue({ sub: "u", tenantId: tenantId("a"), roles: ["member"], lifetimeMs: 60_000 });
  const keys = createLocalJWKSet(issuer.jwks());
  const { payload } = await jwtVerify(token, keys, {
    issuer: "freehold",
    audience: "freehold",
    currentDate: new Date(createManualClock().now()),
  });
  assert.equal(payload["tenant_id"], "a");
});

test("a token lives from one second to 24 hours", () => {
  const issuer = createTokenIssuer(createSigningKey(), createManualClock());
  const issue = (lifetimeMs: number): string => issuer.issue({ sub: "u", tenantId: tenantId("a"), roles: [], lifetimeMs });
  for (const lifetimeMs of [1000, 24 * 3600_000]) assert.ok(issue(lifetimeMs));
  for (const lifetimeMs of [0, 999, -1, Number.NaN, Infinity, 24 * 3600_000 + 1000]) assert.throws(() => issue(lifetimeMs), RangeError);
});

test("a signing key is the same after it was kept, and only Ed25519 is one", () => {
  const key = createSigningKey();
  assert.equal(parseSigningKey(exportSigningKey(key)).kid, key.kid);
  assert.equal(parseSigningKey(key.privateKey.export({ format: "jwk" })).kid, key.kid);
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  assert.throws(() => parseSigningKey(privateKey.export({ format: "der", type: "pkcs8" })), TypeError);
  assert.throws(() => parseSigningKey(Buffer.alloc(48)));
});

test("a new key comes from the given randomness alone (RFC 8037, appendix A)", () => {
  const seed = Buffer.from("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A", "base64url");
  const random: Random = { bytes: (size) => seed.subarray(0, size) };
  const key = createSigningKey(random);
  assert.equal(key.publicJwk.x, "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo");
  assert.equal(key.kid, "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
});
