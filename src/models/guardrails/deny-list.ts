import { RE2JS } from "re2js";
import type { Turns } from "../../kernel/index.ts";
import type { GuardrailSettings } from "../settings/guardrail-schema.ts";
import { WordFinder } from "./word-finder.ts";

/** Says whether a text has something that is not allowed. */
export type DenyList = (text: string, turns: Turns) => Promise<boolean>;

/** Marks that are not seen and would part a word: joiners, soft hyphens, marks of direction. */
const UNSEEN = /\p{Cf}/gu;
/** Small letters that are others' forms and stay themselves in lower case: the final sigma, old forms of Cyrillic. */
const FORMS = /[\u03C2\u1C80-\u1C88]/g;

/**
 * Finds whole words in any case, and patterns as they are written, in linear time whatever the text is. Letters that only look other (full width,
 * ligatures) and marks that are not seen hide nothing. Others have their turn while words are looked for, not within a pattern.
 */
export function createDenyList({ words, patterns }: NonNullable<GuardrailSettings["deny"]>): DenyList {
  const finder = words.length > 0 ? new WordFinder(words.map((word) => folded(plain(word)))) : undefined;
  const all = patterns.length > 0 ? RE2JS.compile(patterns.map((source) => `(?:${source})`).join("|")) : undefined;
  return async (text, turns) => {
    const seen = plain(text);
    if (await finder?.isIn(folded(seen), turns)) return true;
    return all?.test(seen) ?? false;
  };
}

/** Whether anything of this word is looked for: one of blanks and marks that are not seen would match nothing, or every text. */
export function isWord(word: string): boolean {
  return plain(word).trim() !== "";
}

function plain(text: string): string {
  return text.normalize("NFKC").replaceAll(UNSEEN, "");
}

function folded(text: string): string {
  return text.toLowerCase().replaceAll(FORMS, (letter) => letter.toUpperCase().toLowerCase());
}
