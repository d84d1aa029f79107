import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createKeyring, type Keyring, ROOT_KEY_BYTES } from "../../src/kernel/index.ts";

type Purpose = Parameters<Keyring["key"]>[0];

const ROOT = Buffer.from(Array.from({ length: ROOT_KEY_BYTES }, (_, at) => at));

/** What each purpose gives over the root key 00 01 … 1f. Another value here makes everything unreadable that was sealed before. */
const PINNED = {
  "database-context": "453e16ada9b4ec1a75efa3862b747e3f17fb6d22c47bc6e5e507eb301b899a89",
  "database-password-app": "e9d2f709790331f409606f232e17f464086e4a350b61285d0657e9a4f0628e5e",
  "database-password-system": "12d0d6bfb4ec221bd7895eefa9673767ed916bdd9ae282fd1fb65e6af152b60c",
  "database-password-tenant": "13558171ad24c04e68107d57f7f8ca8e81265f0b707b1b6a918e4af50c96e5a5",
  "api-key-check": "af695bc8a33daeffbc950916990c8b9fab141c54006468e2de32ced69ffde04d",
  "event-seal": "79febbc4dfe8623d9420ab88ceef6be749bf7f5d8d4d6c80c50daa4e64c27a16",
  "tenant-secrets": "d6f7109dbb6f4bbd8ac18911c99e1c15e2eac8f64ae609dfb1a944c1345c4548",
  "token-signing": "63308d34c7e8ea15b948012f6a04814c52fc7f848986f93bcd27ea682b015d3e",
  "gateway-objects": "eec5e82b2d1249c2452cd87bb0ae86b1a4412d545ab511ba2680c6afa2a3c477",
  "model-providers": "bb9496fc7be30d47ccf3e1f4c1dad66dae2c041accdcdb6f74dde119bbaf1e46",
  "caller-names": "7f37b3cc7639abc536bd62f5b9d738b8cfb95ebb15bc15f8a7eb78426cc7fd1d",
  "provider-ids": "9a5855495571bc7e2fb9a02a7f93227addb09244ab8731868026fbc19b8c32a1",
  "vault-root": "0fe4f1bb2265927c8ec2d5074b7d8d47ce88ca1f653386c557a87cff2b0ddbf3",
  "root-key-check": "17bfd598cd9c9db5f47116409d09343dbc086a26e4ccf2c22c9cbbf9761367ff",
  "revocation-journal": "78f8bfe3a6592a4f0fb6d7960bfc77598c6b5788167ab49d99f3b20376723fc1",
} satisfies Record<Purpose, string>;
const PURPOSES = Object.keys(PINNED) as Purpose[]; // its own keys

describe("the keyring", () => {
  test("gives the keys that it has always given", () => {
    const keyring = createKeyring(ROOT);
    for (const purpose of PURPOSES) assert.equal(keyring.key(purpose).toString("hex"), PINNED[purpose], purpose);
  });

  test("gives 32 bytes per purpose, and to no two purposes the same", () => {
    const keyring = createKeyring(ROOT);
    const keys = PURPOSES.map((purpose) => keyring.key(purpose));
    assert.ok(keys.every((key) => key.length === 32));
    assert.equal(new Set(keys.map((key) => key.toString("hex"))).size, PURPOSES.length);
    assert.ok(!keys.some((key) => key.equals(ROOT)));
  });

  test("gives other keys for another root key", () => {
    const other = Buffer.from(ROOT);
    other[31] = 0;
    for (const purpose of PURPOSES) assert.notDeepEqual(createKeyring(other).key(purpose), createKeyring(ROOT).key(purpose));
  });

  test("is not changed by what is done with the bytes that went in or came out", () => {
    const root = Buffer.from(ROOT);
    const keyring = createKeyring(root);
    root.fill(0);
    keyring.key("event-seal").fill(0);
    assert.equal(keyring.key("event-seal").toString("hex"), PINNED["event-seal"]);
    assert.equal(keyring.key("tenant-secrets").toString("hex"), PINNED["tenant-secrets"]);
  });

  test("is made of 32 bytes and of nothing else", () => {
    for (const length of [0, 16, 31, 33, 64]) assert.throws(() => createKeyring(Buffer.alloc(length)), RangeError);
  });
});
