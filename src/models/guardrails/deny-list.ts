import { RE2JS } from "re2js";
import type { GuardrailSettings } from "../settings/guardrail-schema.ts";

/** Says whether a text has something that is not allowed. */
export type DenyList = (text: string) => boolean;

/** Marks that are not seen and would part a word: joiners, soft hyphens, marks of direction. */
const UNSEEN = /\p{Cf}/gu;

/**
 * Finds whole words in any case, and patterns as they are written, in linear time whatever the text is. Letters that only look other (full width,
 * ligatures) and marks that are not seen hide nothing.
 */
export function createDenyList({ words, patterns }: NonNullable<GuardrailSettings["deny"]>): DenyList {
  const sources = [...words.map((word) => `(?i:${edge(word, "first")}${RE2JS.quote(plain(word))}${edge(word, "last")})`), ...patterns];
  const all = RE2JS.compile(sources.map((source) => `(?:${source})`).join("|"));
  return (text) => all.test(plain(text));
}

/** Words of letters are found as whole words only; RE2 knows the edges of ASCII words. */
function edge(word: string, side: "first" | "last"): string {
  const letter = side === "first" ? word.charAt(0) : word.charAt(word.length - 1);
  return /\w/.test(letter) ? "\\b" : "";
}

function plain(text: string): string {
  return text.normalize("NFKC").replaceAll(UNSEEN, "");
}
