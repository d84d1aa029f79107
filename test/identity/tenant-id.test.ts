import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { parseTenantId } from "../../src/kernel/index.ts";
import { readText } from "./vectors.ts";

interface Vectors {
  readonly reject: readonly { readonly name: string; readonly value: string }[];
  readonly accept: readonly string[];
  readonly collidingPairs: readonly (readonly [string, string, string])[];
  readonly nonStrings: readonly unknown[];
}

// the shape is fixed by the file, whose counts the tests assert
const vectors = JSON.parse(readText("tenant-ids.json")) as Vectors;

test("every hostile tenant id of the vector file is refused, and every good one is kept as it is", () => {
  for (const { name, value } of vectors.reject) {
    assert.equal(parseTenantId(value), undefined, name);
  }
  for (const value of vectors.nonStrings) assert.equal(parseTenantId(value), undefined, JSON.stringify(value));
  for (const value of vectors.accept) assert.equal(parseTenantId(value), value);
  assert.deepEqual([vectors.reject.length, vectors.nonStrings.length, vectors.accept.length], [56, 10, 4]);
});

test("of two texts that some system takes for the same, at most one is a tenant id", () => {
  for (const [left, right, why] of vectors.collidingPairs) {
    assert.ok(parseTenantId(left) === undefined || parseTenantId(right) === undefined, why);
  }
});

test("different texts never give the same tenant id, and an id is exactly its text", () => {
  const nearlyAnId = fc.stringMatching(/^[a-z0-9-]{0,70}$/);
  const text = fc.oneof(fc.string({ unit: "binary" }), fc.string({ unit: "grapheme" }), nearlyAnId);
  // a failure prints its seed and its smallest example
  fc.assert(
    fc.property(text, text, (left, right) => {
      const [a, b] = [parseTenantId(left), parseTenantId(right)];
      assert.ok(a === undefined || a === left);
      assert.ok(a === undefined || a !== b || left === right);
    }),
    { numRuns: 2000 },
  );
});
