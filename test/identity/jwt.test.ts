import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { test } from "node:test";
import { SCOPES } from "../../src/kernel/index.ts";
import { createKeySets } from "../../src/tenancy/identity/jwks.ts";
import { createTokenVerifier, type TokenVerdict } from "../../src/tenancy/identity/jwt.ts";
import { identitySettings } from "../../src/tenancy/identity/settings.ts";
import { askWith, assertContext, assertFault, createIdentityUnderTest, createIssuer } from "./identity-under-test.ts";
import { createIssuerKey, part } from "./issuer-keys.ts";
import { readText } from "./vectors.ts";

const rsa = createIssuerKey("RS256", "rsa-1");
const ed = createIssuerKey("EdDSA", "ed-1");
const es = createIssuer("a", ["a"]);
const issuerA = { ...es, settings: { ...es.settings, jwks: { keys: [es.key.jwk, rsa.jwk, ed.jwk] } } };
const issuerB = createIssuer("b", ["b"]);

interface Vectors {
  readonly cases: Readonly<Record<string, readonly [text: string, measured: string, expected: string]>>;
  readonly headers: readonly (Readonly<Record<string, unknown>> & { readonly alg: string })[];
  readonly malleate: readonly string[];
}

// the shape is fixed by the file, whose counts the tests assert
const vectors = JSON.parse(readText("jwt-claims.json")) as Vectors;

function open(): ReturnType<typeof createIdentityUnderTest> {
  return createIdentityUnderTest([issuerA, issuerB]);
}

/** Verdicts of the verifier alone, for texts that no header field can hold. */
function openVerifier(house = open()): (text: string) => Promise<TokenVerdict> {
  const { issuers } = identitySettings.parse({ issuers: [issuerA.settings, issuerB.settings] });
  const { clock } = house;
  const verifier = createTokenVerifier(
    issuers,
    createKeySets(issuers, { clock, fetchBytes: () => Promise.reject(new Error("no network")) }),
    clock,
  );
  return async (text) => verifier.verifyToken(text);
}

test("a token of each kind of key is accepted", async () => {
  const house = open();
  for (const key of [es.key, rsa, ed]) assertContext(await askWith(house, key.sign(house.claims(issuerA, "a"))), "a");
  for (const typ of ["JWT", "jwt", "at+jwt", "AT+JWT"]) {
    assertContext(await askWith(house, rsa.sign(house.claims(issuerA, "a"), { alg: "RS256", kid: rsa.kid, typ })), "a");
  }
});

test("the hostile claims of the vector file are refused, and claims about the plan change nothing", async () => {
  const house = open();
  let refused = 0;
  for (const [name, [text]] of Object.entries(vectors.cases)) {
    // these two are about who signs and about the plan: below
    if (name === "issOtherTenant" || name === "refreshAsAccess" || name === "tierClaim") continue;
    const payload = name === "noExp" ? without(house.claims(issuerA, "a"), "exp") : merge(house.claims(issuerA, "a"), text);
    assertFault(await askWith(house, rsa.sign(payload)), "unauthenticated");
    assertFault(await askWith(house, rsa.sign(text)), "unauthenticated");
    refused++;
  }
  assert.equal(refused, 15);
  const context = assertContext(
    await askWith(house, rsa.sign(merge(house.claims(issuerA, "a"), vectors.cases["tierClaim"]?.[0] ?? ""))),
    "a",
  );
  assert.equal(context.tenant.plan, "starter");
  assert.deepEqual(context.tenant.features, []);
});

test("the hostile headers of the vector file are refused", async () => {
  const house = open();
  const payload = house.claims(issuerA, "a");
  let refused = 0;
  for (const { note, ...header } of vectors.headers) {
    const named = { kid: header.alg === "ES256" ? es.key.kid : rsa.kid, ...header };
    for (const token of forgeries(named, payload, note)) {
      assertFault(await askWith(house, token), "unauthenticated");
      refused++;
    }
  }
  assert.equal(vectors.headers.length, 14);
  assert.equal(refused, 13 + 3 * 6);
});

test("the malleated texts of the vector file are refused, so that a token has one text", async () => {
  const house = open();
  const verify = openVerifier(house);
  const token = issuerA.key.sign(house.claims(issuerA, "a"));
  assert.equal((await verify(token)).ok, true);
  const texts = [`${token}=`, `${token}==`, `${token} `, ` ${token}`, `${token}\n`, `${token}\r\n`, `${token}\0`, `${token}.`, `.${token}`];
  for (const text of [...texts, ...respellings(token)]) assert.equal((await verify(text)).ok, false, JSON.stringify(text.slice(-20)));
  assert.equal(vectors.malleate.length, 4);
});

test("every time rule holds at its edge", async () => {
  const house = open();
  const now = house.clock.seconds;
  const day = 24 * 3600;
  const accepted = [
    { exp: now - 59 },
    { iat: now + 60, exp: now + 61 },
    { iat: now, exp: now + day },
    { iat: now + 60, exp: now + 60 + day },
    { nbf: now + 60 },
    { iat: now - day + 10, exp: now + 10 },
  ];
  const refused = [
    { exp: now - 60 },
    { iat: now + 61, exp: now + 100 },
    { iat: now - 1, exp: now + day },
    { iat: now, exp: now + day + 1 },
    { nbf: now + 61 },
    { nbf: "0" },
    { nbf: null },
    { iat: now, exp: now },
    { exp: now + 0.5 },
    { iat: now - 0.5 },
    { iat: -1, exp: now + 1 },
    { exp: now * 1000 },
    { iat: null },
    { iat: undefined },
  ];
  for (const times of accepted) assertContext(await askWith(house, house.token(issuerA, "a", { iat: now - 3600, ...times })), "a");
  for (const times of refused)
    assertFault(await askWith(house, house.token(issuerA, "a", { iat: now - 3600, ...times })), "unauthenticated");
});

test("a verified token is refused from the moment that it expires", async () => {
  const house = open();
  const token = house.token(issuerA, "a", { exp: house.clock.seconds + 10 });
  assertContext(await askWith(house, token), "a");
  house.clock.advance(69_999);
  assertContext(await askWith(house, token), "a");
  house.clock.advance(1);
  assertFault(await askWith(house, token), "unauthenticated");
});

test("a token for another audience, also one for several, is refused", async () => {
  const house = open();
  const ours = "https://api.example.com";
  assertContext(await askWith(house, house.token(issuerA, "a", { aud: [ours] })), "a");
  for (const aud of [
    undefined,
    null,
    "",
    `${ours}/`,
    "api.example.com",
    `${ours}.evil`,
    [],
    [ours, "other"],
    [ours, ours],
    [[ours]],
    { 0: ours },
  ]) {
    assertFault(await askWith(house, house.token(issuerA, "a", { aud })), "unauthenticated");
  }
});

test("a token made for another purpose is refused", async () => {
  const house = open();
  assertContext(await askWith(house, house.token(issuerA, "a", { token_use: "access" })), "a");
  for (const use of ["id", "refresh", "", null, ["access"]]) {
    assertFault(await askWith(house, house.token(issuerA, "a", { token_use: use })), "unauthenticated");
  }
  for (const typ of ["id+jwt", "rt+jwt", "logout+jwt", "JOSE", "", null, 5, "application/at+jwt "]) {
    const token = rsa.sign(house.claims(issuerA, "a"), { alg: "RS256", kid: rsa.kid, typ });
    assertFault(await askWith(house, token), "unauthenticated");
  }
});

test("a subject that is absent, empty, long or has control characters is refused", async () => {
  const house = open();
  for (const sub of [undefined, null, "", 7, "u".repeat(257), "u\n", "u\u0000", "u\u0085", ["u"]]) {
    assertFault(await askWith(house, house.token(issuerA, "a", { sub })), "unauthenticated");
  }
});

test("a token is limited to the scopes that it names, and one without names has all", async () => {
  const house = open();
  const scopesOf = async (claims: Record<string, unknown>): Promise<readonly string[]> =>
    assertContext(await askWith(house, house.token(issuerA, "a", claims)), "a").principal.scopes;
  assert.deepEqual(await scopesOf({}), [...SCOPES]);
  assert.deepEqual(await scopesOf({ scope: "openid chat" }), [...SCOPES]);
  assert.deepEqual(await scopesOf({ freehold_scopes: ["chat"] }), ["chat"]);
  assert.deepEqual(await scopesOf({ freehold_scopes: ["x"] }), []);
  assert.deepEqual(await scopesOf({ freehold_scopes: [] }), []);
  for (const scopes of ["chat", { chat: true }, [["chat"]], [null], null])
    assertFault(await askWith(house, house.token(issuerA, "a", { freehold_scopes: scopes })), "unauthenticated");
});

test("roles are ours or nothing: unknown ones are left out, other shapes refused", async () => {
  const house = open();
  const rolesOf = async (roles: unknown): Promise<readonly string[]> =>
    assertContext(await askWith(house, house.token(issuerA, "a", { roles })), "a").principal.roles;
  assert.deepEqual(await rolesOf(undefined), ["member"]);
  assert.deepEqual(await rolesOf([]), ["member"]);
  assert.deepEqual(await rolesOf(["Admin", "owner", "__proto__"]), ["member"]);
  assert.deepEqual(await rolesOf(["admin", "x", "admin"]), ["admin"]);
  assert.deepEqual(await rolesOf(["member", "admin"]), ["member", "admin"]);
  for (const roles of ["admin", { admin: true }, [["admin"]], [null], 1, null]) {
    assertFault(await askWith(house, house.token(issuerA, "a", { roles })), "unauthenticated");
  }
});

test("an issuer may have its own claim names, and then only those count", async () => {
  const own = createIssuer("own", ["a", "b"], { claims: { tenant: "https://own.test/tenant", roles: "groups", platformRoles: "ops" } });
  const house = createIdentityUnderTest([own]);
  const token = house.token(own, "b", { "https://own.test/tenant": "a", groups: ["admin"], roles: ["member"] });
  assert.deepEqual(assertContext(await askWith(house, token), "a").principal.roles, ["admin"]);
  assertFault(await askWith(house, house.token(own, "a")), "unauthenticated");
});

test("a claim is never something that every object has", async () => {
  const own = createIssuer("own", ["a"], {
    claims: { tenant: "constructor", roles: "toString", platformRoles: "valueOf" },
    platform: true,
  });
  const house = createIdentityUnderTest([own]);
  assertFault(await askWith(house, house.token(own, "a")), "unauthenticated");
  assertContext(await askWith(house, house.token(own, "x", { constructor: "a" })), "a");
});

test("an issuer signs for its own tenants only, and the attempt to sign for another is in the trail", async () => {
  const house = open();
  assertContext(await askWith(house, house.token(issuerB, "b")), "b");
  assertFault(await askWith(house, house.token(issuerB, "a")), "unauthenticated");
  const who = { actor: "user-1", actorTenant: "b", claimedTenant: "a", requestId: "request-1", remoteAddress: "192.0.2.7" };
  assert.deepEqual(house.audits, [
    { action: "auth_failed", reason: "issuer_tenant_mismatch", ...who },
    { action: "cross_tenant_attempt", reason: "issuer_tenant_mismatch", ...who },
  ]);
});

test("a token signed by the key of another issuer is refused, whichever key it names", async () => {
  const house = open();
  const claims = house.claims(issuerA, "a");
  for (const kid of [issuerA.key.kid, issuerB.key.kid, undefined]) {
    assertFault(await askWith(house, issuerB.key.sign(claims, { alg: "ES256", kid })), "unauthenticated");
  }
});

test("a key verifies only with an algorithm that fits it, whatever the token says", async () => {
  const house = open();
  const claims = house.claims(issuerA, "a");
  for (const alg of ["RS512", "PS256", "ES256", "EdDSA", "rs256", "RS256 ", "HS256", "none", null, ["RS256"]]) {
    assertFault(await askWith(house, rsa.sign(claims, { alg, kid: rsa.kid })), "unauthenticated");
  }
});

test("a token over 8 KiB is refused before it is read", async () => {
  const house = open();
  const verify = openVerifier(house);
  const padded = (size: number): string => {
    const token = (filler: number): string => rsa.sign({ ...house.claims(issuerA, "a"), filler: "x".repeat(filler) });
    return token(Math.floor(((size - token(0).length) * 3) / 4));
  };
  assert.equal((await verify(padded(8 * 1024 - 4))).ok, true);
  assert.deepEqual(await verify(padded(8 * 1024 + 4)), { ok: false, reason: "malformed_token" });
});

test("the second use of a token is answered without waiting, and only for exactly the same text", async () => {
  const house = open();
  const token = house.token(issuerA, "a");
  const { issuers } = identitySettings.parse({ issuers: [issuerA.settings] });
  const keySets = createKeySets(issuers, { clock: house.clock, fetchBytes: () => Promise.reject(new Error("no network")) });
  const verifier = createTokenVerifier(issuers, keySets, house.clock);
  assert.ok(verifier.verifyToken(token) instanceof Promise);
  const verdict = await verifier.verifyToken(token);
  assert.equal(verifier.verifyToken(token), verdict);
  const [head, payload] = token.split(".");
  assert.equal((await verifier.verifyToken(`${head}.${payload}.${"A".repeat(86)}`)).ok, false);
});

test("every refusal looks the same to the caller and shows nothing of the token", async () => {
  const house = open();
  const tokens = [
    "x",
    house.token(issuerB, "a"),
    house.token(issuerA, "a", { exp: 1 }),
    house.token(issuerA, "nobody"),
    rsa.sign(house.claims(issuerA, "a"), { alg: "RS256", kid: "unknown" }),
    house.token({ ...issuerA, settings: { ...issuerA.settings, issuer: "https://unknown.test" } }, "a"),
  ];
  const shown = new Set<string>();
  for (const token of tokens) {
    const fault = assertFault(await askWith(house, token), "unauthenticated");
    shown.add(JSON.stringify(fault.public));
    assert.ok(!JSON.stringify([fault.message, house.audits]).includes(token.slice(-40)) || token.length < 40);
  }
  assert.equal(shown.size, 1);
  const reasons = new Set(house.audits.map(({ reason }) => reason));
  assert.deepEqual([...reasons], ["malformed_token", "issuer_tenant_mismatch", "bad_lifetime", "unknown_key", "unknown_issuer"]);
});

/** The good claims with those of the text in place of their like; the text itself is kept as it is, twice-named members and all. */
function merge(claims: Record<string, unknown>, text: string): string {
  const inner = /^(\uFEFF?)\{(.*)\}$/su.exec(text);
  if (!inner) return text;
  const [, mark, members] = inner;
  const named = JSON.parse(`{${members}}`) as Record<string, unknown>; // the text was an object
  const kept = Object.entries(claims).filter(([name]) => !Object.hasOwn(named, name));
  return `${mark}${JSON.stringify(Object.fromEntries(kept)).slice(0, -1)},${members}}`;
}

function without(claims: Record<string, unknown>, name: string): Record<string, unknown> {
  return Object.fromEntries(Object.entries(claims).filter(([each]) => each !== name));
}

/** Tokens with this header: signed by the real key, or as the attack would. */
function forgeries(header: Record<string, unknown>, payload: unknown, note: unknown): string[] {
  if (header["alg"] === "HS256") return [rsa, es.key, ed].flatMap((key) => hmacForgeries({ ...header, kid: key.kid }, payload, key));
  const input = `${part(header)}.${part(payload)}`;
  if (String(note).startsWith("r=s=0")) return [`${input}.${Buffer.alloc(64).toString("base64url")}`];
  return [rsa.sign(payload, header)];
}

/** The public key as the secret of an HMAC, in each form that a library may have taken it. */
function hmacForgeries(header: unknown, payload: unknown, key: typeof rsa): string[] {
  const input = `${part(header)}.${part(payload)}`;
  const pem = String(key.publicKey.export({ format: "pem", type: "spki" }));
  const der = key.publicKey.export({ format: "der", type: "spki" });
  const secrets = [pem, pem.trimEnd(), `${pem}\n`, der, JSON.stringify(key.jwk), `${JSON.stringify(key.jwk)}\n`];
  return secrets.map((secret) => `${input}.${createHmac("sha256", secret).update(input).digest("base64url")}`);
}

/** The token with other characters that decode to the same bytes, in each of its parts. */
function respellings(token: string): string[] {
  const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  const parts = token.split(".");
  return parts.flatMap((text, at) => {
    const bytes = Buffer.from(text, "base64url");
    const last = Array.from(alphabet, (character) => text.slice(0, -1) + character);
    const same = last.filter((other) => other !== text && Buffer.from(other, "base64url").equals(bytes));
    const plain = text.replaceAll("-", "+").replaceAll("_", "/");
    const variants = [...same, ...(plain === text ? [] : [plain]), `${text}=`, `${text} `, `${text.slice(0, 4)}\n${text.slice(4)}`];
    return variants.map((variant) => parts.with(at, variant).join("."));
  });
}
