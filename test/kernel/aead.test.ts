import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import path from "node:path";
import { describe, test } from "node:test";
import fc from "fast-check";
import { AEAD_NONCE_BYTES, AEAD_TAG_BYTES, aeadOpen, aeadSeal, partsToBytes } from "../../src/kernel/index.ts";

interface Vector {
  readonly tcId: number;
  readonly key: string;
  readonly iv: string;
  readonly aad: string;
  readonly msg: string;
  readonly ct: string;
  readonly tag: string;
  readonly result: "valid" | "invalid" | "acceptable";
}

interface VectorGroup {
  readonly ivSize: number;
  readonly keySize: number;
  readonly tagSize: number;
  readonly tests: readonly Vector[];
}

const VECTORS = path.join(import.meta.dirname, "../vectors");

function read(file: string): unknown {
  return JSON.parse(readFileSync(path.join(VECTORS, file), "utf8"));
}

const hex = (text: string): Buffer => Buffer.from(text, "hex");

describe("the one cipher", () => {
  test("agrees with every vector of Wycheproof for AES-GCM, and takes no other length of key, nonce or tag", () => {
    const { testGroups: groups } = read("wycheproof/aes_gcm_test.json") as { testGroups: VectorGroup[] }; // its schema
    const counts = { same: 0, refused: 0, otherLength: 0 };
    for (const group of groups) {
      for (const { tcId, key, iv, aad, msg, ct, tag, result } of group.tests) {
        const parts = { key: hex(key), nonce: hex(iv), about: hex(aad) };
        const sealed = Buffer.concat([hex(ct), hex(tag)]);
        if (group.keySize !== 256 || group.ivSize !== 8 * AEAD_NONCE_BYTES || group.tagSize !== 8 * AEAD_TAG_BYTES) {
          assert.throws(() => aeadOpen(parts, sealed), RangeError, `vector ${tcId}`);
          counts.otherLength++;
        } else if (result === "valid") {
          assert.deepEqual(aeadSeal(parts, hex(msg)), sealed, `vector ${tcId}`);
          assert.deepEqual(aeadOpen(parts, sealed), hex(msg), `vector ${tcId}`);
          counts.same++;
        } else {
          assert.equal(aeadOpen(parts, sealed), undefined, `vector ${tcId}`);
          counts.refused++;
        }
      }
    }
    assert.deepEqual(counts, { same: 39, refused: 27, otherLength: 250 });
  });

  test("opens nothing of which one bit is another, in any part", () => {
    fc.assert(
      fc.property(
        fc.record({
          key: fc.uint8Array({ minLength: 32, maxLength: 32 }),
          nonce: fc.uint8Array({ minLength: 12, maxLength: 12 }),
          about: fc.uint8Array({ minLength: 1, maxLength: 40 }),
          sealed: fc.uint8Array({ maxLength: 60 }),
        }),
        fc.constantFrom("key", "nonce", "about", "sealed"),
        fc.nat(),
        ({ sealed: plain, ...parts }, part, at) => {
          const sealed = aeadSeal(parts, plain);
          assert.deepEqual(aeadOpen(parts, sealed), Buffer.from(plain));
          const changed = Buffer.from(part === "sealed" ? sealed : parts[part]);
          const byte = at % changed.length;
          changed[byte] = (changed[byte] ?? 0) ^ (1 << (at % 8));
          assert.equal(part === "sealed" ? aeadOpen(parts, changed) : aeadOpen({ ...parts, [part]: changed }, sealed), undefined);
        },
      ),
    );
  });

  test("opens nothing that was cut off, down to no byte at all", () => {
    const parts = { key: Buffer.alloc(32, 1), nonce: Buffer.alloc(12, 2), about: Buffer.from("about") };
    const sealed = aeadSeal(parts, Buffer.from("the value"));
    for (let length = 0; length < sealed.length; length++) assert.equal(aeadOpen(parts, sealed.subarray(0, length)), undefined);
  });
});

describe("a list of texts as bytes", () => {
  test("differs for lists that are one text when joined", () => {
    const { pairs } = read("composite-key-collisions.json") as { pairs: { join: string; a: string[]; b: string[] }[] }; // its shape
    assert.ok(pairs.length > 0);
    for (const { join, a, b } of pairs) {
      assert.equal(a.join(join), b.join(join));
      assert.notDeepEqual(partsToBytes(a), partsToBytes(b));
    }
  });

  test("is never that of another list, whatever the texts hold, also halves of a surrogate pair", () => {
    const part = fc.oneof(fc.string({ unit: "binary" }), fc.constantFrom("", "\ud800", "\udfff", '"', ",", '","', "\\", "\0"));
    fc.assert(
      fc.property(fc.array(part), fc.array(part), (a, b) => {
        const same = a.length === b.length && a.every((text, at) => text === b[at]);
        assert.equal(partsToBytes(a).equals(partsToBytes(b)), same);
      }),
    );
  });
});
