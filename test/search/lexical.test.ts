import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { createLexicalEmbedder, type Embedder } from "../../src/stores/search/index.ts";
import { murmur3 } from "../../src/stores/search/murmur3.ts";
import { wordsOf } from "../../src/stores/search/words-of.ts";

const lexical = createLexicalEmbedder();

/** The name, and the first dimensions that the word "Freehold" has, with their signs. Where these change, so must the name: vectors are stored. */
const OF_FREEHOLD = ["lexical-1/1024", -43, -127, 188, -298, 455, -481];

async function likeness(a: string, b: string, embedder: Embedder = lexical): Promise<number> {
  const [one, other] = await embedder.embed([a, b]);
  assert.ok(one && other);
  return one.reduce((sum, value, at) => sum + value * (other[at] ?? 0), 0);
}

describe("the lexical embedder", () => {
  test("gives every text a vector of unit length, or zeros where it has no words", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.string({ unit: "binary", maxLength: 200 }), { maxLength: 5 }), async (texts) => {
        const vectors = await lexical.embed(texts);
        assert.equal(vectors.length, texts.length);
        for (const [at, vector] of vectors.entries()) {
          const length = Math.hypot(...vector);
          assert.equal(vector.length, lexical.dimensions);
          assert.ok(Math.abs(length - 1) < 1e-6 || length === 0, `length ${length} for ${JSON.stringify(texts[at])}`);
        }
      }),
    );
    const [nothing] = await lexical.embed(["  ?! … "]);
    assert.ok(nothing?.every((value) => value === 0));
  });

  test("gives a text the same vector whatever else is asked for, and in every version with this name", async () => {
    const [alone] = await lexical.embed(["Freehold"]);
    const [, among] = await lexical.embed(["something else", "Freehold", "Freehold"]);
    assert.deepEqual(alone, among);
    const first = [...(alone ?? [])].flatMap((value, at) => (value === 0 ? [] : [value < 0 ? -at : at])).slice(0, 6);
    assert.deepEqual([lexical.name, ...first], OF_FREEHOLD);
  });

  test("does not mind case, accents, width and ligatures", async () => {
    for (const [a, b] of [
      ["Café RÉSUMÉ", "cafe resume"],
      ["ＦＲＥＥＨＯＬＤ", "freehold"],
      ["Straße", "STRASSE"],
      ["e\u0301cole", "école"],
      ["ﬁle", "file"],
      ["Øresund", "oresund"],
    ] as const) {
      assert.ok((await likeness(a, b)) > 0.999_99, `${a} and ${b}`);
    }
  });

  test("finds a misspelt word much liker than another word, and knows no synonyms", async () => {
    assert.ok((await likeness("authentication", "autentication")) > 0.5);
    assert.ok((await likeness("authentication", "warehouse")) < 0.15);
    assert.ok((await likeness("vacation", "holiday")) < 0.15);
  });

  test("tells words in another order apart", async () => {
    const same = await likeness("dog bites man", "dog bites man");
    assert.ok((await likeness("dog bites man", "man bites dog")) < same - 0.05);
  });

  test("finds words of two characters inside text without spaces", async () => {
    const inside = await likeness("東京", "私は東京に住んでいます");
    assert.ok(inside > 0.2, String(inside));
    assert.ok(inside > (await likeness("東京", "彼女は大阪で働いています")) + 0.1);
  });

  test("stops where the signal says so", async () => {
    const reason = new Error("gone");
    await assert.rejects(lexical.embed(["a"], AbortSignal.abort(reason)), reason);
  });

  test("refuses dimensions that cannot be", () => {
    for (const dimensions of [0, -1, 1.5, Number.NaN, 4_097]) {
      assert.throws(() => createLexicalEmbedder({ dimensions }), { code: "invalid_settings" });
    }
  });
});

describe("what it is made of", () => {
  test("the hash is MurmurHash3_x86_32", () => {
    // the reference's results for: nothing, nothing with seed 1, the bytes 21 43 65 87
    assert.deepEqual([murmur3([], 0), murmur3([], 1), murmur3([0x87654321], 0)], [0, 0x514e28b7, 0xf55b516b]);
  });

  test("words are folded, and characters of scripts without spaces stand alone", () => {
    const words = ["don", "t", "panic", "x2", "東", "京", "タ", "ワ", "ー", "हिन्दी", "한국어"];
    assert.deepEqual(wordsOf("Don’t PANIC, x² 東京タワー हिन्दी 한국어"), words);
  });
});
