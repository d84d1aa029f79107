import type { Json } from "../../kernel/index.ts";

/** Clocks of issuers may differ from ours by this much. */
export const LEEWAY_S = 60;
const SUBJECT_LENGTH_MAX = 256;

// what would change meaning in a log line or a header
const CONTROL_CHARACTER = /\p{Cc}/u;

/** What a token says. */
export type Claims = { readonly [name: string]: Json };

/** One claim. Own members only: a claim is never something that all objects have. */
export function claim(claims: Claims, name: string): Json | undefined {
  return Object.hasOwn(claims, name) ? claims[name] : undefined;
}

/** Whether the token has begun, has not ended, and was never meant for longer than `lifetimeMaxS`, with the leeway for clocks. */
export function isWithinLifetime(claims: Claims, nowS: number, lifetimeMaxS: number): boolean {
  const exp = claim(claims, "exp");
  const iat = claim(claims, "iat");
  const nbf = claim(claims, "nbf");
  if (!isWhole(exp) || !isWhole(iat) || (nbf !== undefined && !isWhole(nbf))) return false;
  if (exp <= nowS - LEEWAY_S || iat > nowS + LEEWAY_S || (nbf !== undefined && nbf > nowS + LEEWAY_S)) return false;
  // with the bound on iat above, exp is never more than the life time and the leeway from now
  return exp > iat && exp - iat <= lifetimeMaxS;
}

/** Whether it is for this audience alone. A list with more members would make one token good at several services, each of which could use it at the others. */
export function isAudience(value: Json | undefined, audience: string): boolean {
  return value === audience || (Array.isArray(value) && value.length === 1 && value[0] === audience);
}

/** Whether this can be the id of a principal. */
export function isSubject(value: Json | undefined): value is string {
  return typeof value === "string" && value.length > 0 && value.length <= SUBJECT_LENGTH_MAX && !CONTROL_CHARACTER.test(value);
}

/** Those of our words that the list names; undefined when it is not a list of strings. */
export function knownOf<Word extends string>(value: Json | undefined, words: readonly Word[]): readonly Word[] | undefined {
  if (!Array.isArray(value) || !value.every((word) => typeof word === "string")) return undefined;
  return words.filter((word) => value.includes(word));
}

function isWhole(value: Json | undefined): value is number {
  return typeof value === "number" && Number.isSafeInteger(value);
}
