import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import type { Json } from "../../src/kernel/index.ts";
import { createContextSigner, type SignableContext } from "../../src/tenancy/identity/context-signer.ts";
import { type ContextVerdict, createContextVerifier } from "../../src/tenancy/identity/context-verifier.ts";
import { createSigningKey, createTokenIssuer, OWN_ISSUER, type SigningKey } from "../../src/tenancy/identity/index.ts";
import { COOL_DOWN_MS, createKeySets } from "../../src/tenancy/identity/jwks.ts";
import { issuerSettings } from "../../src/tenancy/identity/settings.ts";
import { createManualClock, type ManualClock } from "../support/clock.ts";
import { contextOf } from "../support/tenants.ts";
import { createIssuerKey, type Jwk } from "./issuer-keys.ts";
import { fetchBytes, startKeyServer } from "./key-server.ts";

const AUDIENCE = "orders";

/** A service that believes a gateway whose keys are at a real server. */
async function start(t: TestContext, key: SigningKey = createSigningKey()) {
  const clock = createManualClock();
  const server = await startKeyServer(t, published(key, clock));
  const issuer = issuerSettings.parse({ issuer: OWN_ISSUER, audience: AUDIENCE, tenants: "*", jwksUrl: server.url });
  const keySets = createKeySets([issuer], { clock, fetchBytes });
  const verify = createContextVerifier(AUDIENCE, keySets, clock);
  return { clock, server, keySets, key, verify: async (text: string): Promise<ContextVerdict> => await verify(text) };
}

function published(key: SigningKey, clock: ManualClock): readonly Jwk[] {
  return createTokenIssuer(key, clock).jwks().keys;
}

function signed(key: SigningKey, clock: ManualClock, context: SignableContext = contextOf("a"), audience = AUDIENCE): string {
  return createContextSigner(key, clock)(context, audience);
}

test("a signed context says the tenant, the principal and how it was proved", async (t) => {
  const { verify, key, clock } = await start(t);
  const { tenant, principal } = contextOf("a", { roles: ["admin"], scopes: ["users"], id: "ann" });
  const verdict = await verify(signed(key, clock, { tenant, principal, provedBy: "api_key" }));
  assert.ok(verdict.ok);
  const { id, uuid, plan, features, locale } = tenant;
  assert.deepEqual(verdict.statement.tenant, { id, uuid, plan, features, locale });
  assert.deepEqual(verdict.statement.principal, principal);
  assert.equal(verdict.statement.provedBy, "api_key");
});

test("it is believed from one minute before it was signed to one minute after its five, by this machine's clock", async (t) => {
  const { verify, key, clock } = await start(t);
  assert.deepEqual(await verify(signed(key, ahead(clock, 61_000))), { ok: false, reason: "bad_lifetime" });
  assert.equal((await verify(signed(key, ahead(clock, 60_000)))).ok, true);
  const text = signed(key, clock);
  clock.advance(359_000);
  assert.equal((await verify(text)).ok, true);
  clock.advance(1_000);
  assert.deepEqual(await verify(text), { ok: false, reason: "bad_lifetime" }, "a remembered one ends too");
});

test("it is believed by its audience alone", async (t) => {
  const { verify, key, clock } = await start(t);
  for (const audience of ["billing", "order", "orders2", "freehold", ""]) {
    assert.deepEqual(await verify(signed(key, clock, contextOf("a"), audience)), { ok: false, reason: "wrong_audience" });
  }
});

test("an access token of the same key is no context", async (t) => {
  const { verify, key, clock } = await start(t);
  const token = createTokenIssuer(key, clock, OWN_ISSUER).issue({
    sub: "u",
    tenantId: contextOf("a").tenant.id,
    roles: ["admin"],
    lifetimeMs: 60_000,
  });
  assert.deepEqual(await verify(token), { ok: false, reason: "malformed_token" });
});

test("what is signed well and says something else than a gateway does is refused", async (t) => {
  const issuer = createIssuerKey("EdDSA", "k1");
  const clock = createManualClock();
  const server = await startKeyServer(t, [issuer.jwk]);
  const settings = issuerSettings.parse({ issuer: OWN_ISSUER, audience: AUDIENCE, tenants: "*", jwksUrl: server.url });
  const verify = createContextVerifier(AUDIENCE, createKeySets([settings], { clock, fetchBytes }), clock);
  const iat = Math.floor(clock.seconds);
  const { tenant } = contextOf("a");
  const good = {
    iss: OWN_ISSUER,
    aud: AUDIENCE,
    sub: "ann",
    iat,
    exp: iat + 300,
    token_use: "context",
    tenant_id: "a",
    tenant_uuid: tenant.uuid,
    tenant_tier: "starter",
    tenant_features: [],
    tenant_locale: "en",
    principal_kind: "user",
    roles: ["member"],
    scopes: ["chat"],
    proved_by: "jwt",
  };
  const head = { alg: "EdDSA", kid: "k1", typ: "tenant-context+jwt" };
  const reasonOf = async (claims: Record<string, unknown>, header: Record<string, unknown> = head): Promise<string> => {
    const verdict = await verify(issuer.sign(claims, header));
    return verdict.ok ? "" : verdict.reason;
  };
  assert.equal(await reasonOf(good), "");
  const changes: readonly (readonly [reason: string, change: Record<string, Json | undefined>])[] = [
    ["bad_lifetime", { exp: iat + 301 }],
    ["bad_lifetime", { exp: undefined }],
    ["wrong_token_use", { token_use: "access" }],
    ["wrong_token_use", { token_use: undefined }],
    ["unknown_issuer", { iss: "somebody" }],
    ["wrong_audience", { aud: [AUDIENCE, "billing"] }],
    ...[
      "tenant_id",
      "tenant_uuid",
      "tenant_tier",
      "tenant_features",
      "tenant_locale",
      "sub",
      "principal_kind",
      "roles",
      "scopes",
      "proved_by",
    ].map((name) => ["bad_statement", { [name]: undefined }] as const),
    ["bad_statement", { tenant_id: "default" }],
    ["bad_statement", { tenant_uuid: "a" }],
    ["bad_statement", { tenant_features: "all" }],
    ["bad_statement", { proved_by: "system" }],
    ["bad_statement", { sub: "ann\nroot" }],
  ];
  for (const [reason, change] of changes) assert.equal(await reasonOf({ ...good, ...change }), reason, JSON.stringify(change));
  for (const typ of [undefined, "JWT", "at+jwt", "context"]) assert.equal(await reasonOf(good, { ...head, typ }), "malformed_token");
});

test("a new key of the gateway is found on its first use, and the old one ends with the set that had it", async (t) => {
  const { verify, key, clock, server, keySets } = await start(t);
  const old = signed(key, clock);
  assert.equal((await verify(old)).ok, true);
  const next = createSigningKey();
  server.publish(published(next, clock));
  assert.deepEqual(await verify(signed(next, clock)), { ok: false, reason: "unknown_key" }, "not asked again within the cool-down");
  clock.advance(COOL_DOWN_MS);
  assert.equal((await verify(signed(next, clock))).ok, true);
  assert.equal(server.fetches, 2);
  assert.deepEqual(await verify(old), { ok: false, reason: "unknown_key" });
  await keySets.renewed(OWN_ISSUER);
});

test("a gateway that cannot be asked is told apart from a context that is wrong", async (t) => {
  const { verify, key, clock, server } = await start(t);
  server.answer(500, "");
  assert.deepEqual(await verify(signed(key, clock)), { ok: false, reason: "no_keys" });
});

/** The same clock at another time. */
function ahead(clock: ManualClock, ms: number): ManualClock {
  const other = createManualClock();
  other.advance(clock.now() + ms - other.now());
  return other;
}
