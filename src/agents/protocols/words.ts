import { STOP_WORDS } from "./stop-words.ts";

/** The shortest word in which one wrong letter is forgiven; in shorter ones it is usually another word. */
const FORGIVING_LENGTH = 5;

/** Endings and what stands instead; the first that fits is taken. */
const ENDINGS: readonly (readonly [ending: string, instead: string])[] = [
  ["ies", "y"],
  ["sses", "ss"],
  ["ss", "ss"],
  ["us", "us"],
  ["ing", ""],
  ["ed", ""],
  ["es", ""],
  ["s", ""],
  ["e", ""],
  ["ly", ""],
];

/** A word as it is written in lower case, and the part that its forms share. */
export interface Word {
  readonly text: string;
  readonly stem: string;
}

/** Reads words out of a text. */
export type WordReader = (text: string) => Word[];

/** A reader of the telling words of a text, in their order. Works in languages that write no spaces too (Unicode UAX 29). */
export function createWordReader(locale: string): WordReader {
  const segmenter = new Intl.Segmenter(locale, { granularity: "word" });
  return (text) => {
    const words: Word[] = [];
    for (const { segment, isWordLike } of segmenter.segment(text)) {
      const word = segment.normalize("NFKC").toLowerCase();
      if (isWordLike && !STOP_WORDS.has(word)) words.push({ text: word, stem: stemOf(word) });
    }
    return words;
  };
}

/** Takes the commonest English endings off, so that "refunds", "refunded" and "refunding" are one word. Leaves three letters at least. */
function stemOf(word: string): string {
  const stem = word.replace(/['’]s$/, "");
  for (const [ending, instead] of ENDINGS) {
    const rest = stem.slice(0, -ending.length);
    if (!stem.endsWith(ending) || rest.length + instead.length < 3) continue;
    // "shipping" and "ship", but not "falling" and "fal"
    return ending === "ing" || ending === "ed" ? rest.replace(/([bdgmnprt])\1$/, "$1") : rest + instead;
  }
  return stem;
}

/** Whether a word is one slip of the keyboard away from another: a letter too many, too few, wrong, or two swapped. */
export function isSlip(a: string, b: string): boolean {
  if (Math.min(a.length, b.length) < FORGIVING_LENGTH || Math.abs(a.length - b.length) > 1) return false;
  const [short, long] = a.length <= b.length ? [a, b] : [b, a];
  let at = 0;
  while (at < short.length && short[at] === long[at]) at++;
  if (short.length < long.length) return short.slice(at) === long.slice(at + 1);
  const swapped = short[at] === long[at + 1] && short[at + 1] === long[at];
  return short.slice(at + 1) === long.slice(at + 1) || (swapped && short.slice(at + 2) === long.slice(at + 2));
}
