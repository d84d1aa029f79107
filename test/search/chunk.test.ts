import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { chunk, CHUNK_BOUNDS } from "../../src/stores/search/chunk.ts";

const PIECES = ["word", "a", " ", " ", " ", "\n", "\n\n", ". ", "! ", "。", "x".repeat(400), "🂡", "é", "東京", " ".repeat(300), "\n\n\n"];
const texts = fc.array(fc.constantFrom(...PIECES), { maxLength: 3_000, size: "max" }).map((pieces) => pieces.join(""));

function sentences(count: number): string {
  return Array.from({ length: count }, (_, at) => `Sentence number ${at} says nothing of interest to anyone.`).join(" ");
}

describe("passages", () => {
  test("are pieces of the text, in order, and every character but white space is in one", () => {
    fc.assert(
      fc.property(texts, (text) => {
        let covered = 0;
        for (const { start, text: passage } of chunk(text)) {
          assert.equal(text.slice(start, start + passage.length), passage);
          if (start > covered) assert.equal(text.slice(covered, start).trim(), "", "left out");
          assert.ok(start + passage.length > covered, "says nothing new");
          covered = start + passage.length;
        }
        assert.equal(text.slice(covered).trim(), "", "the end is left out");
      }),
    );
  });

  test("are not empty, not over their bounds, and never have half a character", () => {
    fc.assert(
      fc.property(texts, (text) => {
        const passages = chunk(text);
        assert.ok(passages.length <= CHUNK_BOUNDS.passagesMax);
        for (const { text: passage } of passages) {
          assert.ok(passage.length <= CHUNK_BOUNDS.passageLengthMax);
          assert.ok(passage.trim() !== "" && passage.isWellFormed());
        }
      }),
    );
  });

  test("of the largest text, whatever it is made of, stay below their bound", () => {
    for (const piece of ["x", "x ", "x. ", "x\n\n", "🂡", "東"]) {
      const text = piece.repeat(Math.floor(CHUNK_BOUNDS.textBytesMax / Buffer.byteLength(piece)));
      const passages = chunk(text);
      assert.ok(passages.length > 0 && passages.length <= CHUNK_BOUNDS.passagesMax, `${passages.length} of ${JSON.stringify(piece)}`);
    }
  });

  test("of a text that is too large are refused", () => {
    assert.throws(() => chunk("x".repeat(CHUNK_BOUNDS.textBytesMax + 1)), { code: "body_too_large" });
    assert.throws(() => chunk("é".repeat(CHUNK_BOUNDS.textBytesMax / 2 + 1)), { code: "body_too_large" });
  });

  test("end with sentences and begin with sentences", () => {
    const passages = chunk(sentences(100)).map(({ text }) => text);
    assert.ok(passages.length > 3);
    for (const passage of passages) {
      assert.match(passage, /^Sentence number/);
      assert.match(passage.trimEnd(), /anyone\.$/);
    }
  });

  test("end with a paragraph rather than later with a sentence", () => {
    const [first] = chunk(`${sentences(14)}\n\n${sentences(40)}`);
    assert.equal(first?.text.trimEnd(), sentences(14));
  });

  test("repeat a little of the one before", () => {
    const passages = chunk("word ".repeat(1_000));
    for (const [at, { start }] of passages.slice(1).entries()) {
      const before = passages[at];
      const overlap = (before?.start ?? 0) + (before?.text.length ?? 0) - start;
      assert.ok(overlap > 0 && overlap <= 120, `overlap ${overlap}`);
    }
  });

  test("of a short text are the text, and of white space none", () => {
    assert.deepEqual(chunk("Hello"), [{ start: 0, text: "Hello" }]);
    assert.deepEqual(chunk(" \n ".repeat(2_000)), []);
    assert.deepEqual(chunk(""), []);
  });
});
