import { setImmediate } from "node:timers/promises";
import { Fault } from "../../../kernel/index.ts";
import { DIMENSIONS_MAX, type Embedder, toUnitLength } from "../embedder.ts";
import { murmur3 } from "../murmur3.ts";
import { wordsOf } from "../words-of.ts";

/** How the lexical embedder is made. */
export interface LexicalSettings {
  /** 1,024 when absent. Fewer make more words share a dimension. */
  readonly dimensions?: number;
}

/**
 * On short texts 512 find as much. On 620 passages of about 900 characters with 300 half-misspelt questions 512 had the right one first
 * for 60 % and among three for 78 %, 1,024 for 69 % and 82 %.
 */
const DIMENSIONS = 1_024;
const GRAM_LENGTHS = [3, 4] as const;
/** Stands for the border of a word, inside words and between two. */
const BORDER = 0x20;
/** Each kind of feature is hashed with a seed of its own, so that a word and its letters are different things. */
const SEEDS = { word: 1, pair: 2, gram: 3 } as const;
/** Texts after which other work of the process gets its turn. */
const TEXTS_AT_ONCE = 32;

/**
 * The embedder that needs no model: a text becomes the hashed counts of its words, its pairs of neighbouring words and the runs of three
 * and four characters in its words (feature hashing with signs, Weinberger et al. 2009). The same text gives the same vector everywhere.
 * It is lexical, not semantic: it sees through misspelling, inflection, case and accents, but does not know synonyms.
 */
export function createLexicalEmbedder(settings: LexicalSettings = {}): Embedder {
  const { dimensions = DIMENSIONS } = settings;
  if (!Number.isSafeInteger(dimensions) || dimensions < 1 || dimensions > DIMENSIONS_MAX) {
    throw new Fault("invalid_settings", `lexical embedder of ${dimensions} dimensions`, { public: { field: "dimensions" } });
  }
  return {
    name: `lexical-1/${dimensions}`,
    dimensions,
    async embed(texts, signal) {
      const vectors: Float32Array[] = [];
      for (const text of texts) {
        if (vectors.length > 0 && vectors.length % TEXTS_AT_ONCE === 0) await setImmediate();
        signal?.throwIfAborted();
        vectors.push(embedText(text, dimensions));
      }
      return vectors;
    },
  };
}

function embedText(text: string, dimensions: number): Float32Array {
  const vector = new Float64Array(dimensions);
  for (const [hash, count] of countFeatures(text)) {
    const at = hash % dimensions;
    // the sign lets features that share a dimension cancel each other on average; a word said ten times is not ten times as telling
    vector[at] = (vector[at] ?? 0) + (hash >>> 31 === 0 ? 1 : -1) * (1 + Math.log(count));
  }
  return toUnitLength(vector);
}

/** How often each feature of the text occurs, by its hash. */
function countFeatures(text: string): Map<number, number> {
  const counts = new Map<number, number>();
  const count = (points: readonly number[], seed: number): void => {
    const hash = murmur3(points, seed);
    counts.set(hash, (counts.get(hash) ?? 0) + 1);
  };
  let before: readonly number[] | undefined;
  for (const word of wordsOf(text)) {
    const points = Array.from(word, (character) => character.codePointAt(0) ?? 0);
    count(points, SEEDS.word);
    if (before) count([...before, BORDER, ...points], SEEDS.pair);
    before = points;
    if (points.length === 1) continue; // its only gram would be the word once more
    const bordered = [BORDER, ...points, BORDER];
    for (const length of GRAM_LENGTHS) {
      for (let at = 0; at + length <= bordered.length; at++) count(bordered.slice(at, at + length), SEEDS.gram);
    }
  }
  return counts;
}
