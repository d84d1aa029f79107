import assert from "node:assert/strict";
import { test } from "node:test";
import { systemRandom } from "../../src/kernel/index.ts";
import { createCanary } from "../../src/prove/canary.ts";

test("a canary is counted in whatever form it comes", () => {
  const { word, count } = createCanary(systemRandom);
  const has = (text: string): number => count(Buffer.from(text)) / word.length;
  assert.equal(has("nothing of it"), 0);
  assert.equal(has(word.slice(0, -1)), 0);
  assert.equal(has(`a ${word} and ${word.toUpperCase()}`), 2);
  assert.equal(has(Buffer.from(word).toString("hex")), 1);
  for (const before of ["", "a", "ab", "abc"]) {
    for (const after of ["", "a", "ab"]) {
      const bytes = Buffer.from(before + word + after);
      assert.equal(has(bytes.toString("base64")), 1, `${before}|${after}`);
      assert.equal(has(`{"x":"${bytes.toString("base64url")}"}`), 1);
    }
  }
  assert.equal(has(createCanary(systemRandom).word), 0);
});
