import { plainText } from "./plain-text.ts";

/** Letters that do not come apart into a base letter and a mark, and what they are usually typed as. */
const PLAIN: Readonly<Record<string, string>> = { ß: "ss", æ: "ae", œ: "oe", ø: "o", đ: "d", ð: "d", þ: "th", ł: "l", ħ: "h", ı: "i" };
const PLAIN_LETTER = /[ßæœøđðþłħı]/g;

/** The combining marks of Latin, Greek and Cyrillic. Those of other scripts are vowels and stay. */
const DIACRITICS = /[\u0300-\u036f]/g;

/** Scripts written without spaces give one word per character: pairs of neighbours then stand for what a word is elsewhere. */
const WORD = /[\p{sc=Han}\p{sc=Hiragana}\p{sc=Katakana}]|[[\p{L}\p{M}\p{N}]--[\p{sc=Han}\p{sc=Hiragana}\p{sc=Katakana}]]+/gv;

/** The words of a text, however it was typed: compatibility forms, case and diacritics are folded, all else is left out (UAX 15, NFKC). */
export function wordsOf(text: string): string[] {
  const bare = plainText(text).normalize("NFD").replace(DIACRITICS, "").normalize("NFC");
  return bare.replace(PLAIN_LETTER, (letter) => PLAIN[letter] ?? letter).match(WORD) ?? [];
}
