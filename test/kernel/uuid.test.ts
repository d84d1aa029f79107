import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";
import fc from "fast-check";
import { createUuidSequence, isUuid, systemRandom, uuidV5, uuidV7 } from "../../src/kernel/index.ts";
import { createManualClock } from "../support/clock.ts";

const NAMESPACE = "6ba7b810-9dad-11d1-80b4-00c04fd430c8";

interface Pair {
  readonly join: string;
  readonly a: readonly string[];
  readonly b: readonly string[];
}

const { pairs } = JSON.parse(readFileSync(new URL("../vectors/composite-key-collisions.json", import.meta.url), "utf8")) as {
  pairs: readonly Pair[]; // the shape is fixed by the file, whose count a test asserts
};

function versionOf(uuid: string): string {
  return `${uuid[14]}${["8", "9", "a", "b"].includes(uuid[19] ?? "") ? "" : " of another variant"}`;
}

describe("a version 5 UUID", () => {
  test("differs for parts that are one text when they are joined", () => {
    assert.equal(pairs.length, 6);
    for (const { join, a, b } of pairs) {
      assert.equal(a.join(join), b.join(join), "the pair collides when joined");
      assert.notEqual(uuidV5(NAMESPACE, a), uuidV5(NAMESPACE, b), a.join(" + "));
    }
  });

  test("is the same for the same parts only, and canonical", () => {
    const parts = fc.array(fc.string({ unit: fc.constantFrom("a", "b", ":", "-", "/", "\0", "😀"), maxLength: 4 }), { maxLength: 4 });
    fc.assert(
      fc.property(parts, parts, (left, right) => {
        const [a, b] = [uuidV5(NAMESPACE, left), uuidV5(NAMESPACE, right)];
        assert.ok(isUuid(a) && versionOf(a) === "5");
        assert.equal(a === b, JSON.stringify(left) === JSON.stringify(right));
      }),
      { numRuns: 3_000 },
    );
  });

  test("is SHA-1 of the namespace and of each part after its length", () => {
    const bytes = Buffer.concat([
      Buffer.from(NAMESPACE.replaceAll("-", ""), "hex"),
      Buffer.from([0, 0, 0, 1, 0x61, 0, 0, 0, 2, 0xc3, 0xa9]),
    ]);
    const digest = createHash("sha1").update(bytes).digest("hex");
    assert.equal(uuidV5(NAMESPACE, ["a", "é"]).slice(0, 8), digest.slice(0, 8));
    // stored ids must stay what they are
    assert.equal(uuidV5(NAMESPACE, ["a", "é"]), "7b6ffbaf-9183-514c-bb1f-02e586a12ddc");
    assert.notEqual(uuidV5(NAMESPACE, ["a"]), uuidV5("6ba7b811-9dad-11d1-80b4-00c04fd430c8", ["a"]));
  });

  test("is not made of text that is not well formed, since bytes of another text would be the same", () => {
    for (const part of ["\ud800", "a\udc00", "\udc00\ud800"]) assert.throws(() => uuidV5(NAMESPACE, [part]), RangeError);
  });
});

describe("a version 7 UUID", () => {
  test("begins with its time and is canonical", () => {
    const clock = createManualClock();
    const uuid = uuidV7(clock, systemRandom);
    assert.ok(isUuid(uuid) && versionOf(uuid) === "7");
    assert.equal(Number.parseInt(uuid.replaceAll("-", "").slice(0, 12), 16), clock.now());
    clock.advance(1);
    assert.ok(uuidV7(clock, systemRandom) > uuid);
  });

  test("does not come twice", () => {
    const clock = createManualClock();
    assert.equal(new Set(Array.from({ length: 10_000 }, () => uuidV7(clock, systemRandom))).size, 10_000);
  });

  test("of a sequence is greater than the one before, within a millisecond and when the clock is set back", () => {
    const step = fc.oneof(fc.constant(0), fc.integer({ min: -10_000, max: 10_000 }));
    fc.assert(
      fc.property(fc.array(step, { minLength: 1, maxLength: 50 }), (steps) => {
        let now = 1_800_000_000_000;
        const next = createUuidSequence({ now: () => now, monotonic: () => 0 }, systemRandom);
        let last = "";
        for (const ms of steps) {
          now += ms;
          for (let at = 0; at < 3; at++) {
            const uuid = next();
            assert.ok(isUuid(uuid) && versionOf(uuid) === "7");
            assert.ok(uuid > last, `${uuid} after ${last}`);
            last = uuid;
          }
        }
      }),
      { numRuns: 300 },
    );
  });

  test("of a sequence stays greater for more in one millisecond than can be counted, and close to the time", () => {
    const clock = createManualClock();
    const next = createUuidSequence(clock, systemRandom);
    const made = Array.from({ length: 20_000 }, () => next());
    assert.deepEqual(made, made.toSorted());
    assert.equal(new Set(made).size, made.length);
    const lastMs = Number.parseInt((made.at(-1) ?? "").replaceAll("-", "").slice(0, 12), 16);
    assert.ok(lastMs - clock.now() <= 10);
  });
});

test("a UUID is taken in its one canonical form only", () => {
  const good = "018f0000-0000-7000-8000-00000000000a";
  assert.ok(isUuid(good));
  for (const bad of [
    good.toUpperCase(),
    `{${good}}`,
    good.replaceAll("-", ""),
    ` ${good}`,
    `${good}\n`,
    `urn:uuid:${good}`,
    "",
    good.slice(1),
  ]) {
    assert.equal(isUuid(bad), false, JSON.stringify(bad));
  }
});
