import assert from "node:assert/strict";
import { constants, createHmac, generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import { describe, it, type TestContext } from "node:test";
import { startEcho, startPlane, type TestPlane } from "../../support/data-plane.ts";
import { createManualClock } from "../../support/clock.ts";
import { assertProblem, consumersOf, documentOf } from "./access-document.ts";

const SECRET = "a secret of thirty-two characters";
const rsa = generateKeyPairSync("rsa", { modulusLength: 2048 });
const ed = generateKeyPairSync("ed25519");
const curves = {
  ES256: generateKeyPairSync("ec", { namedCurve: "P-256" }),
  ES384: generateKeyPairSync("ec", { namedCurve: "P-384" }),
  ES512: generateKeyPairSync("ec", { namedCurve: "P-521" }),
};

interface Pair {
  readonly publicKey: KeyObject;
  readonly privateKey: KeyObject;
}

const PAIRS: Readonly<Record<string, Pair>> = {
  RS256: rsa,
  RS384: rsa,
  RS512: rsa,
  PS256: rsa,
  PS384: rsa,
  PS512: rsa,
  EdDSA: ed,
  ...curves,
};
const ALGORITHMS = ["HS256", "HS384", "HS512", ...Object.keys(PAIRS)];

function pemOf({ publicKey }: Pair): string {
  return publicKey.export({ type: "spki", format: "pem" }).toString();
}

function credentialOf(algorithm: string, key: string): object {
  const pair = PAIRS[algorithm];
  return { key, algorithm, ...(pair ? { public_key: pemOf(pair) } : { secret: SECRET }) };
}

function signatureOf(algorithm: string, signed: string, secret: string): Buffer {
  const hash = `sha${algorithm.slice(-3)}`;
  const pair = PAIRS[algorithm];
  if (!pair) return createHmac(hash, secret).update(signed).digest();
  const { privateKey: key } = pair;
  if (algorithm === "EdDSA") return sign(null, Buffer.from(signed), key);
  if (algorithm.startsWith("ES")) return sign(hash, Buffer.from(signed), { key, dsaEncoding: "ieee-p1363" });
  const padding = algorithm.startsWith("PS") ? constants.RSA_PKCS1_PSS_PADDING : constants.RSA_PKCS1_PADDING;
  return sign(hash, Buffer.from(signed), { key, padding, saltLength: constants.RSA_PSS_SALTLEN_DIGEST });
}

function encode(part: unknown): string {
  return Buffer.from(JSON.stringify(part)).toString("base64url");
}

function tokenOf(algorithm: string, claims: object, { header = {}, secret = SECRET }: { header?: object; secret?: string } = {}): string {
  const signed = `${encode({ alg: algorithm, typ: "JWT", ...header })}.${encode(claims)}`;
  return `${signed}.${signatureOf(algorithm, signed, secret).toString("base64url")}`;
}

async function startWith(t: TestContext, acme: object, settings: object = {}, profile: "strict" | "apisix" = "strict") {
  const echo = await startEcho(t);
  const clock = createManualClock();
  const more = consumersOf("jwt-auth", { acme, globex: { key: "globex", secret: "another secret, of globex alone!" } });
  const plane = await startPlane(t, documentOf(echo.node, { "jwt-auth": settings }, more), { profile, ports: { clock } });
  return { echo, clock, ...plane };
}

function bearer(send: TestPlane["send"], token: string) {
  return send("/x", { headers: { authorization: `Bearer ${token}` } });
}

describe("jwt-auth", () => {
  for (const algorithm of ALGORITHMS) {
    it(`a token signed with ${algorithm} proves its tenant, and one bit less does not`, async (t) => {
      const { send, echo } = await startWith(t, credentialOf(algorithm, "acme"));
      const token = tokenOf(algorithm, { key: "acme" });
      const { headers } = (await bearer(send, token)).echoed();
      assert.equal(headers["x-tenant-id"], "acme");
      assert.equal(headers.authorization, undefined);
      const [head = "", payload = "", signature = ""] = token.split(".");
      const bytes = Buffer.from(signature, "base64url");
      bytes.writeUInt8(bytes.readUInt8(3) ^ 1, 3);
      assertProblem(await bearer(send, `${head}.${payload}.${bytes.toString("base64url")}`), 401, "unauthenticated");
      assertProblem(await bearer(send, `${head}.${encode({ key: "acme", more: 1 })}.${signature}`), 401, "unauthenticated");
      assert.equal(echo.received.length, 1);
    });
  }

  it("a token chooses neither its algorithm nor its key", async (t) => {
    const { send, echo } = await startWith(t, credentialOf("RS256", "acme"));
    const claims = { key: "acme" };
    const tokens = [
      // the public key as a shared secret
      tokenOf("HS256", claims, { secret: pemOf(rsa) }),
      tokenOf("HS256", claims, { header: { alg: "RS256" }, secret: pemOf(rsa) }),
      tokenOf("PS256", claims),
      tokenOf("RS512", claims),
      `${encode({ alg: "none" })}.${encode(claims)}.`,
      tokenOf("RS256", claims, { header: { crit: ["exp"] } }),
      tokenOf("RS256", claims, { header: { alg: "none" } }),
      tokenOf("RS256", claims, { header: { alg: "rs256" } }),
      // the other tenant's key for this tenant's name, and the other way round
      tokenOf("HS256", claims, { secret: "another secret, of globex alone!" }),
      tokenOf("HS256", { key: "globex" }),
    ];
    for (const token of tokens) assertProblem(await bearer(send, token), 401, "unauthenticated");
    assert.equal(echo.received.length, 0);
    assert.equal((await bearer(send, tokenOf("RS256", claims))).status, 200);
  });

  it("another spelling of a signature, repeated members and what is no token are refused", async (t) => {
    const { send, echo } = await startWith(t, credentialOf("HS256", "acme"));
    const token = tokenOf("HS256", { key: "acme" });
    const twice = `${encode({ alg: "HS256" })}.${Buffer.from('{"key":"globex","key":"acme"}').toString("base64url")}`;
    const texts = [
      `${token}=`,
      `${token}.`,
      `${token}.e30`,
      token.slice(0, -3),
      "a.b.c",
      `${twice}.${signatureOf("HS256", twice, SECRET).toString("base64url")}`,
      tokenOf("HS256", { key: ["acme"] }),
      tokenOf("HS256", { key: "__proto__" }),
      tokenOf("HS256", {}),
    ];
    for (const text of texts) assertProblem(await bearer(send, text), 401, "unauthenticated");
    assert.equal(echo.received.length, 0);
  });

  it("life times are kept to the second, with the grace of the credential, and have to be there where they are asked for", async (t) => {
    const { send, clock, apply, echo } = await startWith(t, { ...credentialOf("HS256", "acme"), lifetime_grace_period: 10 });
    const status = async (claims: object): Promise<number> => (await bearer(send, tokenOf("HS256", { key: "acme", ...claims }))).status;
    const now = clock.seconds;
    assert.equal(await status({ exp: now - 9 }), 200);
    assert.equal(await status({ exp: now - 10 }), 401);
    assert.equal(await status({ nbf: now + 9 }), 200);
    assert.equal(await status({ nbf: now + 10 }), 401);
    assert.equal(await status({ exp: String(now + 100) }), 401);
    assert.equal(await status({}), 200);
    const consumers = consumersOf("jwt-auth", { acme: credentialOf("HS256", "acme"), globex: credentialOf("HS256", "globex") });
    await apply(documentOf(echo.node, { "jwt-auth": { claims_to_verify: ["exp"] } }, consumers));
    assert.equal(await status({}), 401);
    assert.equal(await status({ exp: now + 1 }), 200);
  });

  it("a token that was good is so no longer when its credential has changed or is gone", async (t) => {
    const { send, apply, echo } = await startWith(t, credentialOf("HS256", "acme"));
    const token = tokenOf("HS256", { key: "acme" });
    const serve = (acme: object) =>
      apply(documentOf(echo.node, { "jwt-auth": {} }, consumersOf("jwt-auth", { acme, globex: credentialOf("HS256", "globex") })));
    assert.equal((await bearer(send, token)).status, 200);
    await serve({ key: "acme", secret: "another secret for the same key" });
    assert.equal((await bearer(send, token)).status, 401);
    await serve(credentialOf("HS256", "acme"));
    assert.equal((await bearer(send, token)).status, 200);
    await serve(credentialOf("HS512", "acme"));
    assert.equal((await bearer(send, token)).status, 401);
    await serve(credentialOf("HS256", "other"));
    assert.equal((await bearer(send, token)).status, 401);
  });

  it("a key that can be broken is not used in strict", async (t) => {
    const weak = generateKeyPairSync("rsa", { modulusLength: 1024 });
    const signed = `${encode({ alg: "RS256" })}.${encode({ key: "acme" })}`;
    const token = `${signed}.${sign("sha256", Buffer.from(signed), weak.privateKey).toString("base64url")}`;
    const credential = { key: "acme", algorithm: "RS256", public_key: pemOf(weak) };
    assertProblem(await bearer((await startWith(t, credential)).send, token), 401, "unauthenticated");
    assert.equal((await bearer((await startWith(t, credential, {}, "apisix")).send, token)).status, 200);
  });

  it("a route may be chosen by what a token says of its tenant, and is closed to who then is of another", async (t) => {
    const { send, apply, echo } = await startWith(t, credentialOf("HS256", "acme"));
    const consumers = consumersOf("jwt-auth", { acme: credentialOf("HS256", "acme"), globex: credentialOf("HS256", "globex") });
    const routeOf = (name: string, value: string): unknown => ({
      id: "1",
      uri: "/*",
      vars: [[name, "==", value]],
      plugins: { "jwt-auth": {} },
      upstream: { nodes: { [echo.node]: 1 } },
    });
    await apply({ routes: [routeOf("tenant_id", "acme")], ...consumers });
    const claims = { tenant_id: "acme", sub: "a user of acme" };
    assert.equal((await bearer(send, tokenOf("HS256", { ...claims, key: "acme" }))).echoed().headers["x-tenant-id"], "acme");
    assertProblem(await bearer(send, tokenOf("HS256", { ...claims, key: "globex" })), 403, "tenant_mismatch");
    await apply({ routes: [routeOf("principal", "a user of acme")], ...consumers });
    assertProblem(await bearer(send, tokenOf("HS256", { ...claims, key: "acme" })), 403, "tenant_mismatch");
    assert.equal(echo.received.length, 1);
  });

  it("apisix: the dialect's places and texts", async (t) => {
    const { send } = await startWith(t, credentialOf("HS256", "acme"), {}, "apisix");
    const token = tokenOf("HS256", { key: "acme" });
    assert.equal((await send(`/x?jwt=${token}`)).status, 200);
    assert.equal((await send("/x", { headers: { cookie: `a=1; jwt=${token}` } })).status, 200);
    assert.equal((await send("/x", { headers: { authorization: token } })).status, 200);
    const missing = await send("/x");
    assert.equal(missing.headers["www-authenticate"], 'Bearer realm="jwt"');
    const texts = [
      [missing, "Missing JWT token in request"],
      [await send("/x?jwt=a.b.c"), "JWT token invalid"],
      [await send(`/x?jwt=${tokenOf("HS256", {})}`), "missing user key in JWT token"],
      [await send(`/x?jwt=${tokenOf("HS256", { key: "nobody" })}`), "Invalid user key in JWT token"],
      [await send(`/x?jwt=${tokenOf("HS512", { key: "acme" })}`), "failed to verify jwt"],
    ] as const;
    for (const [reply, message] of texts) assert.deepEqual([reply.status, reply.json()], [401, { message }]);
  });

  it("wrong settings are refused with the dialect's words", async (t) => {
    const { apply } = await startPlane(t, { routes: [] });
    const wrong = (credential: object): Promise<unknown> => apply({ consumers: [{ username: "a", plugins: { "jwt-auth": credential } }] });
    await assert.rejects(wrong({ key: "a" }), /property "secret" is required when using HS based algorithms/);
    await assert.rejects(wrong({ key: "a", algorithm: "RS256" }), /value should match only one schema, but matches none/);
    await assert.rejects(wrong({ key: "a", secret: "{^c0j4&]2!=J=", base64_secret: true }), /not in base64 format/);
  });
});
