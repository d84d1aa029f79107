import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { toUnitLength } from "../../src/stores/search/embedder.ts";
import { fuse } from "../../src/stores/search/fuse.ts";
import { toGrid } from "../../src/stores/search/grid.ts";
import { textSearchLanguage } from "../../src/stores/search/text-search-language.ts";

const vectors = fc.integer({ min: 1, max: 4_096 }).chain((length) => {
  const number = fc.double({ noNaN: true, noDefaultInfinity: true });
  return fc.tuple(fc.array(number, { minLength: length, maxLength: length }), fc.array(number, { minLength: length, maxLength: length }));
});

/** Adds up in 32-bit floats, in the given order, as an engine might. */
function inFloats(a: Int16Array, b: Int16Array, order: readonly number[]): number {
  return order.reduce((sum, at) => Math.fround(sum + Math.fround((a[at] ?? 0) * (b[at] ?? 0))), 0);
}

describe("similarity", () => {
  test("is the same number in 32-bit floats and in whole numbers, in whatever order it is added up", () => {
    fc.assert(
      fc.property(vectors, ([one, other]) => {
        const a = toGrid(toUnitLength(one), one.length);
        const b = toGrid(toUnitLength(other), one.length);
        const order = [...a.keys()];
        const exact = order.reduce((sum, at) => sum + BigInt(a[at] ?? 0) * BigInt(b[at] ?? 0), 0n);
        for (const each of [order, order.toReversed(), order.toSorted((x, y) => (a[y] ?? 0) - (a[x] ?? 0))]) {
          assert.equal(inFloats(a, b, each), Number(exact));
        }
      }),
      { numRuns: 60 },
    );
  });

  test("keeps within a thousandth of the cosine", () => {
    const wave = (step: number): Float32Array => toUnitLength(Array.from({ length: 1_024 }, (_, at) => Math.sin(at * step) + 0.2));
    const [a, b] = [wave(0.37), wave(0.41)];
    const cosine = a.reduce((sum, value, at) => sum + value * (b[at] ?? 0), 0);
    const [x, y] = [toGrid(a, 1_024), toGrid(b, 1_024)];
    const likeness = x.reduce((sum, value, at) => sum + value * (y[at] ?? 0), 0) / 4_063 ** 2;
    assert.ok(Math.abs(likeness - cosine) < 0.001);
  });

  test("is refused to vectors that are none", () => {
    for (const vector of [Float32Array.of(1), Float32Array.of(1, Number.NaN), Float32Array.of(2, 2), Float32Array.of(Infinity, 0)]) {
      assert.throws(() => toGrid(vector, 2), { code: "upstream_invalid" });
    }
  });

  test("takes unit length from numbers of any size", () => {
    for (const values of [
      [1e308, 1e308],
      [5e-324, 5e-324],
      [3, 4],
    ]) {
      assert.ok(Math.abs(Math.hypot(...toUnitLength(values)) - 1) < 1e-6, String(values));
    }
    assert.deepEqual([...toUnitLength([0, 0])], [0, 0]);
  });
});

describe("fusion", () => {
  const list = (...keys: string[]): { key: string; value: string }[] => keys.map((key) => ({ key, value: key }));

  test("puts what both lists have before what one has, and first in both at 1", () => {
    const fused = fuse([list("a", "b", "c"), list("a", "d", "c")]);
    assert.deepEqual(
      fused.map(({ value }) => value),
      ["a", "c", "b", "d"],
    );
    assert.equal(fused[0]?.score, 1);
    assert.deepEqual(fuse([list("a"), []]), [{ value: "a", score: 0.5 }]);
  });

  test("orders equal scores by key, whichever list they come from", () => {
    assert.deepEqual(
      fuse([list("b"), list("a")]).map(({ value }) => value),
      ["a", "b"],
    );
    assert.deepEqual(
      fuse([list("a"), list("b")]).map(({ value }) => value),
      ["a", "b"],
    );
  });
});

describe("the text search language", () => {
  test("comes from the tenant's locale, and from a fixed list only", () => {
    const pairs: [string, string][] = [
      ["en", "english"],
      ["de-CH", "german"],
      ["pt-BR", "portuguese"],
      ["FR", "french"],
      ["ja", "simple"],
      ["constructor", "simple"],
      ["__proto__", "simple"],
      ["english'; drop table points", "simple"],
      ["", "simple"],
    ];
    for (const [locale, language] of pairs) assert.equal(textSearchLanguage(locale), `pg_catalog.${language}`);
  });
});
