import { BoundedMap, type Clock } from "../../kernel/index.ts";
import { claim, type Claims, LEEWAY_S } from "./claims.ts";
import type { KeySet } from "./jwk.ts";
import type { KeySets } from "./jwks.ts";
import { isSignedBy, parseObject, parseToken, type UnverifiedToken } from "./jws.ts";

/** Verified tokens remembered: at most 8 KiB each, typically 1. */
const TOKENS_REMEMBERED_MAX = 10_000;

/** Why a signed text was refused before anybody looked at what it says. `no_keys`: none of its issuer could be had. */
export type SignatureRefusal = "malformed_token" | "unknown_issuer" | "no_keys" | "unknown_key" | "bad_signature";

/** One kind of token: which media types it has, whom it is believed from, and what its claims have to be. */
export interface TokenKind<Issuer, Verdict extends { readonly ok: boolean }> {
  readonly isType: (typ: string | undefined) => boolean;
  readonly issuers: ReadonlyMap<string, Issuer>;
  /** Asked once the signature is proved. */
  check(claims: Claims, issuer: Issuer, nowS: number): Verdict;
  refuse(reason: SignatureRefusal): Verdict;
}

interface Remembered<Verdict> {
  readonly set: KeySet;
  readonly issuer: string;
  readonly expS: number;
  readonly verdict: Verdict;
}

/**
 * Verifies tokens of one kind completely (RFC 8725). Answers at once for a token that was verified before, has not ended, and whose key set
 * is still the same: another one may no longer have the key that signed.
 */
export function createSignedTokens<Issuer, Verdict extends { readonly ok: boolean }>(
  kind: TokenKind<Issuer, Verdict>,
  keySets: KeySets,
  clock: Clock,
): (text: string) => Verdict | Promise<Verdict> {
  const remembered = new BoundedMap<string, Remembered<Verdict>>(TOKENS_REMEMBERED_MAX);

  async function verify(text: string): Promise<Verdict> {
    const parsed = parseToken(text, kind.isType);
    // read once, before the signature is checked: the token has one text, so these are the bytes that were signed
    const claims = parsed && parseObject(parsed.payload);
    if (!claims) return kind.refuse("malformed_token");
    const name = claim(claims, "iss");
    const issuer = typeof name === "string" ? kind.issuers.get(name) : undefined;
    if (typeof name !== "string" || issuer === undefined) return kind.refuse("unknown_issuer");
    const set = await signingSet(parsed, name, keySets);
    if (typeof set === "string") return kind.refuse(set);
    const verdict = kind.check(claims, issuer, clock.now() / 1000);
    if (verdict.ok) remembered.set(text, { set, issuer: name, expS: Number(claims["exp"]), verdict });
    return verdict;
  }

  return (text) => {
    const known = remembered.get(text);
    if (!known) return verify(text);
    if (keySets.current(known.issuer) === known.set && known.expS + LEEWAY_S > clock.now() / 1000) return known.verdict;
    remembered.delete(text);
    return verify(text);
  };
}

/** The set whose key signed the token, or why there is none. */
async function signingSet(token: UnverifiedToken, issuer: string, keySets: KeySets): Promise<KeySet | SignatureRefusal> {
  let set = keySets.current(issuer);
  let key = set?.key(token.kid);
  if (!key) {
    set = await keySets.renewed(issuer);
    key = set?.key(token.kid);
  }
  if (!set) return "no_keys";
  if (!key) return "unknown_key";
  return (await isSignedBy(key, token)) ? set : "bad_signature";
}
