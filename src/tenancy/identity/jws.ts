import { compactVerify } from "jose";
import { type Json, parseJson } from "../../kernel/index.ts";
import { SIGNATURE_ALGS, type VerificationKey } from "./jwk.ts";

/** Longest token text. Everything in it is ASCII, so characters are bytes. */
const TOKEN_LENGTH_MAX = 8 * 1024;
const KID_LENGTH_MAX = 256;

/** Bounds of the JSON inside a token. */
const TOKEN_JSON_BOUNDS = { bytesMax: TOKEN_LENGTH_MAX, depthMax: 16 };

const COMPACT = /^([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]*)\.([A-Za-z0-9_-]+)$/;

/**
 * Header members that would let the token choose its own key, its own rules or its own size (RFC 7515, 4.1.2 to 4.1.6 and 4.1.11;
 * RFC 7797; RFC 7516, 4.1.2 and 4.1.3). A token with one of them is refused, not read past.
 */
const HEADER_REFUSED = ["crit", "b64", "zip", "enc", "jku", "jwk", "x5u", "x5c"] as const;

/** A token whose form is right. Nothing in it is proved yet. */
export interface UnverifiedToken {
  /** The one text this token can have. */
  readonly text: string;
  readonly alg: string;
  readonly kid: string | undefined;
  readonly payload: Buffer;
}

/**
 * The parts of a signed token in compact form (RFC 7515, 7.1), undefined when anything about its form or header is not exact.
 * Only canonical base64url passes, so that a token has one text: caches and revocation can go by it. `isType` is asked for the media type,
 * in lower case: a token of one kind is never taken for one of another (RFC 8725, 3.11).
 */
export function parseToken(text: string, isType: (typ: string | undefined) => boolean): UnverifiedToken | undefined {
  if (text.length > TOKEN_LENGTH_MAX) return undefined;
  const parts = COMPACT.exec(text)?.slice(1).map(decodeCanonical);
  const [head, payload, signature] = parts ?? [];
  if (!head || !payload || !signature) return undefined;
  const header = parseObject(head);
  if (!header || HEADER_REFUSED.some((name) => Object.hasOwn(header, name))) return undefined;
  const { alg, kid, typ } = header;
  if (typeof alg !== "string" || !SIGNATURE_ALGS.has(alg)) return undefined;
  if (kid !== undefined && (typeof kid !== "string" || kid.length > KID_LENGTH_MAX)) return undefined;
  if ((typ !== undefined && typeof typ !== "string") || !isType(typ?.toLowerCase())) return undefined;
  return { text, alg, kid, payload };
}

/** Whether this key signed this token, with an algorithm the key is meant for. */
export async function isSignedBy(key: VerificationKey, token: UnverifiedToken): Promise<boolean> {
  // the key decides what it may be used for, the token only says which of that it was (RFC 8725, 3.1)
  if (!key.algs.includes(token.alg)) return false;
  try {
    await compactVerify(token.text, key.key, { algorithms: [token.alg] });
    return true;
  } catch {
    return false; // jose throws for every signature that does not hold; why makes no difference here
  }
}

/** One JSON object read strictly, undefined for everything else. */
export function parseObject(bytes: Uint8Array): { readonly [name: string]: Json } | undefined {
  try {
    const value = parseJson(bytes, TOKEN_JSON_BOUNDS);
    return typeof value === "object" && value !== null && !Array.isArray(value) ? value : undefined;
  } catch {
    return undefined; // parseJson throws for text that is not strict JSON, which is all that matters of a token
  }
}

function decodeCanonical(part: string): Buffer | undefined {
  const bytes = Buffer.from(part, "base64url");
  return bytes.toString("base64url") === part ? bytes : undefined;
}
