import assert from "node:assert/strict";
import { test } from "node:test";
import { checkJwkSet, type KeySet } from "../../src/tenancy/identity/jwk.ts";
import { isSignedBy, parseToken } from "../../src/tenancy/identity/jws.ts";
import { part } from "./issuer-keys.ts";
import { type JwsGroup, readGroups } from "./vectors.ts";

test("Wycheproof: no invalid signature is accepted, and every valid one of an allowed key and algorithm is", async () => {
  const counts = { accepted: 0, refused: 0 };
  for (const group of readGroups("json_web_signature_test")) {
    const key = group.public ?? group.private;
    for (const { tcId, comment, jws, result } of group.tests) {
      const accepted = await accepts({ keys: [key] }, jws);
      assert.equal(accepted, result === "valid" && isAllowed(key, jws), `vector ${tcId} ${comment}`);
      counts[accepted ? "accepted" : "refused"]++;
    }
  }
  // 46 are valid: 10 of them are HMAC, 2 use another algorithm than their key names, 2 name the algorithm "ES521" that does not exist
  assert.deepEqual(counts, { accepted: 32, refused: 369 });
});

test("Wycheproof: no symmetric key is ever accepted, also in a set beside a good one", () => {
  const groups = readGroups("json_web_signature_test").filter((group) => group.private["kty"] === "oct");
  const good = readGroups("json_web_signature_test").find((group) => group.comment === "es256")?.public;
  assert.equal(groups.length, 4);
  assert.ok(checkJwkSet({ keys: [good] }).key("kid-ec-sign"));
  for (const group of groups) assert.throws(() => checkJwkSet({ keys: [good, group.private] }), { code: "weak_key" });
});

test("Wycheproof: every bad key set is refused with weak_key", async () => {
  const groups = readGroups("json_web_key_test");
  const accepted = groups.filter((group) => setOf(group) !== undefined);
  const vectors = groups.flatMap((group) => group.tests.map((vector) => ({ ...vector, set: group.public ?? group.private })));
  assert.equal(vectors.length, 26);
  for (const { tcId, comment, jws, result, set } of vectors) {
    const symmetric = JSON.stringify(set).includes('"oct"');
    assert.equal(await accepts(set, jws), result === "valid" && !symmetric, `vector ${tcId} ${comment}`);
  }
  // of all these sets one is good
  assert.deepEqual(
    accepted.map((group) => group.tests.map(({ tcId }) => tcId)),
    [[5]],
  );
});

test("the ROCA key of Wycheproof is refused for being one", () => {
  const group = readGroups("json_web_key_test").find(({ comment }) => comment.includes("roca"));
  assert.throws(() => checkJwkSet(group?.public), /ROCA/);
});

test("a header that names no allowed algorithm, a long key name, or its own key or rules is refused before any key is looked for", () => {
  const parse = (header: unknown): unknown => parseToken(`${part(header)}.e30.AAAA`, isAnyType);
  assert.ok(parse({ alg: "ES256", kid: "k".repeat(256), typ: "JWT", x5t: "AAAA", cty: "x" }));
  for (const alg of ["none", "None", "HS256", "RSA1_5", "dir", "ES256K", "es256", "", null, undefined])
    assert.equal(parse({ alg }), undefined);
  for (const kid of ["k".repeat(257), 1, null, {}, ["1"]]) assert.equal(parse({ alg: "ES256", kid }), undefined);
  for (const name of ["crit", "b64", "zip", "enc", "jku", "jwk", "x5u", "x5c"]) {
    for (const value of [null, "x", [], true]) assert.equal(parse({ alg: "ES256", [name]: value }), undefined, name);
  }
  for (const header of [
    "[]",
    '"ES256"',
    "null",
    "",
    "{",
    '{"alg":"ES256","alg":"ES256"}',
    '{"alg":"ES256","\\u0061lg":"none"}',
    '\uFEFF{"alg":"ES256"}',
  ]) {
    assert.equal(parse(header), undefined, header);
  }
});

/** Types are the business of each kind of token. */
function isAnyType(): boolean {
  return true;
}

async function accepts(set: unknown, jws: string): Promise<boolean> {
  const token = parseToken(jws, isAnyType);
  const key = token && tryCheck(set)?.key(token.kid);
  return key !== undefined && token !== undefined && (await isSignedBy(key, token));
}

function setOf(group: JwsGroup): KeySet | undefined {
  return tryCheck(group.public ?? group.private);
}

function tryCheck(set: unknown): KeySet | undefined {
  try {
    return checkJwkSet(set);
  } catch (error) {
    assert.equal((error as { code?: unknown }).code, "weak_key"); // a Fault has a code
    return undefined;
  }
}

/** Whether our rules allow the vector: asymmetric, and signed with the algorithm that the key names. */
function isAllowed(key: Record<string, unknown>, jws: string): boolean {
  const { alg } = JSON.parse(Buffer.from(jws.split(".")[0] ?? "", "base64url").toString()) as { alg: string };
  return key["kty"] !== "oct" && key["alg"] === alg;
}
