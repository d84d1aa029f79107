import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { test } from "node:test";
import { checkJwk, checkJwkSet } from "../../src/tenancy/identity/jwk.ts";
import { createIssuerKey, type Jwk } from "./issuer-keys.ts";

const weak = { code: "weak_key" };
const es256 = createIssuerKey("ES256", "es");
const rs256 = createIssuerKey("RS256", "rs");
const ed25519 = createIssuerKey("EdDSA", "ed");

function without(jwk: Jwk, ...names: readonly string[]): Jwk {
  return Object.fromEntries(Object.entries(jwk).filter(([name]) => !names.includes(name)));
}

test("a key is allowed the algorithms of its type, or the one it names", () => {
  assert.deepEqual(checkJwk(rs256.jwk).algs, ["RS256"]);
  assert.deepEqual(checkJwk(without(rs256.jwk, "alg")).algs, ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"]);
  assert.deepEqual(checkJwk(without(es256.jwk, "alg")).algs, ["ES256"]);
  assert.deepEqual(checkJwk(without(ed25519.jwk, "alg")).algs, ["EdDSA", "Ed25519"]);
});

test("an algorithm that does not fit the type or curve of its key is refused", () => {
  for (const alg of ["HS256", "RS256", "ES384", "none", "", 5, null]) assert.throws(() => checkJwk({ ...es256.jwk, alg }), weak);
  for (const alg of ["HS256", "ES256", "RSA-OAEP"]) assert.throws(() => checkJwk({ ...rs256.jwk, alg }), weak);
});

test("a private member anywhere in a set refuses the set", () => {
  for (const member of ["d", "p", "q", "dp", "dq", "qi", "oth", "k"]) {
    for (const use of ["sig", "enc"]) {
      assert.throws(() => checkJwkSet({ keys: [es256.jwk, { ...rs256.jwk, use, [member]: "AQAB" }] }), weak, `${member} ${use}`);
    }
  }
  for (const use of ["sig", "enc", undefined]) assert.throws(() => checkJwkSet({ keys: [es256.jwk, { kty: "oct", kid: "2", use }] }), weak);
  assert.throws(() => checkJwk(ed25519.privateKey.export({ format: "jwk" })), weak);
});

test("an RSA key that is short, huge, or has a small, even or huge exponent is refused", () => {
  const short = generateKeyPairSync("rsa", { modulusLength: 1024 }).publicKey.export({ format: "jwk" });
  assert.throws(() => checkJwk(short), weak);
  assert.throws(() => checkJwk({ ...rs256.jwk, n: Buffer.alloc(1025, 0xff).toString("base64url") }), weak);
  // 1, 3, 65536, 65538, 2^32 + 1, nothing
  for (const e of ["AQ", "Aw", "AQAA", "AQAC", "AQAAAAE", "", 65_537, undefined]) assert.throws(() => checkJwk({ ...rs256.jwk, e }), weak);
});

test("an RSA modulus that is even or has a small prime in it is refused", () => {
  const n = BigInt(`0x${Buffer.from(String(rs256.jwk["n"]), "base64url").toString("hex")}`);
  for (const multiple of [n - 1n, n - (n % 3n), n - (n % 167n) + (n % 2n === (n % 167n) % 2n ? 167n : 0n)]) {
    const bytes = Buffer.from(multiple.toString(16).padStart(512, "0"), "hex");
    assert.throws(() => checkJwk({ ...rs256.jwk, n: bytes.toString("base64url") }), /small factor/);
  }
});

test("an Ed25519 key of small order or in a second spelling is refused", () => {
  const points = [
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  ];
  for (const point of points) {
    const bytes = Buffer.from(point, "hex");
    assert.throws(() => checkJwk({ ...ed25519.jwk, x: bytes.toString("base64url") }), /large order/, point);
    bytes[31] = (bytes[31] ?? 0) | 0x80; // the sign of x
    assert.throws(() => checkJwk({ ...ed25519.jwk, x: bytes.toString("base64url") }), /large order/, `${point} with the sign`);
  }
});

test("a point with short, long or padded coordinates is refused", () => {
  const x = String(es256.jwk["x"]);
  for (const spelled of [`${x}=`, ` ${x}`, `AA${x}`, x.slice(2), "", 5, [x]])
    assert.throws(() => checkJwk({ ...es256.jwk, x: spelled }), weak);
});

test("a key for another use, without verify, or of another type is refused", () => {
  for (const use of ["enc", "", null]) assert.throws(() => checkJwk({ ...es256.jwk, use }), weak);
  for (const operations of [[], ["sign"], "verify", null]) assert.throws(() => checkJwk({ ...es256.jwk, key_ops: operations }), weak);
  for (const kty of ["oct", "AKP", ["EC"], "__proto__", undefined]) assert.throws(() => checkJwk({ ...es256.jwk, kty }), weak);
  for (const crv of ["secp256k1", "P-224", ["P-256"], "__proto__"]) assert.throws(() => checkJwk({ ...es256.jwk, crv }), weak);
});

test("a set is refused for what is not a key, for too many keys, for none, and for two of one name", () => {
  const many = Array.from({ length: 33 }, (_, i) => ({ ...es256.jwk, kid: `k${i}` }));
  assert.ok(checkJwkSet({ keys: many.slice(1) }).key("k32"));
  for (const keys of [many, [], [null], ["x"], [[]], [es256.jwk, es256.jwk], [without(es256.jwk, "kid"), without(rs256.jwk, "kid")], {}]) {
    assert.throws(() => checkJwkSet({ keys }), weak);
  }
  for (const set of [undefined, null, [], "x", {}]) assert.throws(() => checkJwkSet(set), weak);
  for (const kid of ["", 5, {}, null, "k".repeat(257)]) assert.throws(() => checkJwk({ ...es256.jwk, kid }), weak);
});

test("a public key for encryption is left out of a set, and is no set by itself", () => {
  const encryption = { ...without(rs256.jwk, "alg"), use: "enc", alg: "RSA-OAEP" };
  const set = checkJwkSet({ keys: [encryption, es256.jwk] });
  assert.ok(set.key("es"));
  assert.equal(set.key("rs"), undefined);
  assert.throws(() => checkJwkSet({ keys: [encryption] }), weak);
});

test("a key is found by its exact name only, and without a name only when it is the only one", () => {
  const one = checkJwkSet({ keys: [es256.jwk] });
  const two = checkJwkSet({ keys: [es256.jwk, rs256.jwk] });
  assert.ok(one.key(undefined));
  assert.equal(two.key(undefined), undefined);
  for (const kid of ["ES", "es ", "__proto__", "constructor", "toString", ""]) assert.equal(two.key(kid), undefined);
});

test("what refuses a key never shows the key", () => {
  const secret = ed25519.privateKey.export({ format: "jwk" });
  assert.throws(
    () => checkJwk(secret),
    (error: Error) => !JSON.stringify([error.message, error]).includes(String(secret.d)),
  );
});
