import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { test } from "node:test";
import { createKeyring, type Random, systemRandom } from "../../src/kernel/index.ts";
import { mintApiKey, parseApiKey } from "../../src/tenancy/identity/index.ts";
import { assertContext, assertFault, createIdentityUnderTest, identifyNow } from "./identity-under-test.ts";
import { bearer, requestHead } from "./requests.ts";

const keyring = createKeyring(randomBytes(32));

test("a minted key reads back to its id and hash, and does not print", () => {
  const { id, secret, hash } = mintApiKey({ random: systemRandom, keyring });
  const text = secret.reveal();
  assert.match(text, /^sk-fh-[a-z0-9]{12}-[A-Za-z0-9]{32}-[A-Za-z0-9]{8}$/);
  assert.deepEqual(parseApiKey(text, keyring), { id, hash });
  assert.deepEqual(hash, createHash("sha256").update(text).digest());
  assert.ok(!`${JSON.stringify({ id, secret })}${String(secret)}`.includes(text.slice(19, 51)));
});

test("a key with any other character anywhere is refused", () => {
  const text = mintApiKey({ random: systemRandom, keyring }).secret.reveal();
  for (let at = 0; at < text.length; at++) {
    for (const character of ["A", "a", "0", "-", "_", "é"]) {
      if (text[at] !== character) assert.equal(parseApiKey(text.slice(0, at) + character + text.slice(at + 1), keyring), undefined);
    }
    assert.equal(parseApiKey(text.slice(0, at), keyring), undefined);
  }
  for (const other of [` ${text}`, `${text} `, `${text}\n`, `${text}A`, text.toUpperCase(), `${text}${text}`, ""]) {
    assert.equal(parseApiKey(other, keyring), undefined);
  }
});

test("a key of another installation is refused without a look-up", () => {
  const foreign = mintApiKey({ random: systemRandom, keyring: createKeyring(randomBytes(32)) }).secret.reveal();
  assert.equal(parseApiKey(foreign, keyring), undefined);
});

test("no character of a key is likelier than another: bytes of the incomplete last round are not used", () => {
  let next = 0;
  const random: Random = { bytes: (size) => Buffer.from(Array.from({ length: size }, () => 240 + (next++ % 16))) };
  const { id, secret } = mintApiKey({ random, keyring });
  // 252 = 7 * 36 and 248 = 4 * 62: from there on the first characters of an alphabet would come once more
  assert.deepEqual(charactersOf(id), charactersOf("yz0123456789"));
  assert.deepEqual(charactersOf(secret.reveal().slice(19, 51)), charactersOf("23456789"));
});

test("a key opens its own tenant, with its own roles and scopes, and nothing of another", async () => {
  const house = createIdentityUnderTest();
  const key = house.newKey("a", { roles: ["admin"], scopes: ["search", "users"] });
  for (const field of ["authorization", "x-api-key", "api-key", "x-goog-api-key", "X-API-Key"]) {
    const value = field === "authorization" ? `Bearer ${key.text}` : key.text;
    const context = assertContext(await house.ask([[field, value]]), "a");
    assert.deepEqual(context.principal, { realm: "tenant", kind: "api_key", id: key.id, roles: ["admin"], scopes: ["search", "users"] });
    assert.equal(context.provedBy, "api_key");
  }
  assertFault(await house.ask([bearer(key.text), ["X-Tenant-ID", "b"]]), "tenant_mismatch");
  assertFault(await house.ask([bearer(key.text)], "/tenants/b/api/chat"), "tenant_mismatch");
  assertFault(await house.ask([bearer(key.text)], "/api/chat", "b.api.example.com"), "tenant_mismatch");
});

test("a forged key costs no look-up, a genuine but unknown one costs one", async () => {
  const house = createIdentityUnderTest();
  const { text } = house.newKey("a");
  const last = text.at(-1) === "A" ? "B" : "A";
  for (const forged of [text.slice(0, -1) + last, `sk-fh-${"a".repeat(12)}-${"b".repeat(32)}-${"c".repeat(8)}`, "sk-fh-", "sk-fh-x"]) {
    assertFault(await house.ask([bearer(forged)]), "unauthenticated");
  }
  assert.deepEqual(house.lookedUp, []);
  house.keys.clear();
  assertFault(await house.ask([bearer(text)]), "unauthenticated");
  assert.equal(house.lookedUp.length, 1);
});

test("a key whose record has another secret is refused", async () => {
  const house = createIdentityUnderTest();
  const [key, other] = [house.newKey("a"), house.newKey("b")];
  const record = house.keys.get(other.id);
  assert.ok(record);
  house.keys.set(key.id, { ...record, id: key.id });
  assertFault(await house.ask([bearer(key.text)]), "unauthenticated");
  house.keys.set(key.id, record);
  assertFault(await house.ask([bearer(key.text)]), "unauthenticated");
  house.keys.set(other.id, { ...record, id: key.id });
  assertFault(await house.ask([bearer(other.text)]), "unauthenticated");
  house.keys.set(key.id, { ...record, id: key.id, hash: Buffer.alloc(0) });
  assertFault(await house.ask([bearer(key.text)]), "unauthenticated");
});

test("an expired or revoked key is refused from that moment, and the trail says whose it was", async () => {
  const house = createIdentityUnderTest();
  const soon = house.clock.now() + 1000;
  const expiring = house.newKey("a", { expiresAtMs: soon });
  const revoked = house.newKey("a", { revokedAtMs: soon });
  for (const key of [expiring, revoked]) assertContext(await house.ask([bearer(key.text)]), "a");
  house.clock.advance(1000);
  for (const key of [expiring, revoked]) assertFault(await house.ask([bearer(key.text)]), "unauthenticated");
  const entries = house.audits.map(({ reason, actor, actorTenant }) => [reason, actor, actorTenant]);
  assert.deepEqual(entries, [
    ["expired_key", expiring.id, "a"],
    ["revoked_key", revoked.id, "a"],
  ]);
});

test("a revoked key is refused on its very next use, since no decision about keys is remembered", async () => {
  const house = createIdentityUnderTest();
  const key = house.newKey("a");
  assertContext(identifyNow(house, requestHead([bearer(key.text)])), "a");
  const record = house.keys.get(key.id);
  assert.ok(record);
  house.keys.set(key.id, { ...record, revokedAtMs: house.clock.now() });
  assertFault(identifyNow(house, requestHead([bearer(key.text)])), "unauthenticated");
});

function charactersOf(text: string): string[] {
  return Array.from(new Set(text)).toSorted();
}
