import { constants, createHmac, createPublicKey, createSecretKey, type KeyObject, timingSafeEqual, verify } from "node:crypto";
import { type Json, parseJson } from "../../../kernel/index.ts";

/** The algorithms with a shared secret (RFC 7518, 3.2). */
export const SYMMETRIC_ALGORITHMS = ["HS256", "HS384", "HS512"] as const;
/** The algorithms with a public key (RFC 7518, 3.3 to 3.5; RFC 8037, 3.1). */
export const ASYMMETRIC_ALGORITHMS = ["RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "PS256", "PS384", "PS512", "EdDSA"] as const;

const TOKEN_LENGTH_MAX = 16 * 1024;
const JSON_BOUNDS = { bytesMax: TOKEN_LENGTH_MAX, depthMax: 16 };
const COMPACT = /^([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([^.]*)$/;
const RSA_BITS_MIN = 2048;
/** The one curve of each algorithm (RFC 7518, 3.4), by OpenSSL's names. */
const CURVES: Readonly<Record<string, string>> = { ES256: "prime256v1", ES384: "secp384r1", ES512: "secp521r1" };

/** A token in compact form (RFC 7515, 7.1) whose parts could be read. Nothing in it is proved. */
export interface Token {
  readonly algorithm: string;
  readonly claims: { readonly [name: string]: Json };
  readonly signed: string;
  readonly signature: Buffer;
}

/** Reads a token; undefined when it is none. What would make a reader skip a check (`crit`, repeated members) is none. */
export function parseToken(text: string): Token | undefined {
  if (text.length > TOKEN_LENGTH_MAX) return undefined;
  const [, head = "", payload = "", signature = ""] = COMPACT.exec(text) ?? [];
  const header = parseObject(head);
  const claims = parseObject(payload);
  const algorithm = header?.["alg"];
  if (!header || !claims || typeof algorithm !== "string" || Object.hasOwn(header, "crit")) return undefined;
  return { algorithm, claims, signed: `${head}.${payload}`, signature: decodeCanonical(signature) };
}

/** A signature has one text; any other spelling of it is empty, which no key has made. */
function decodeCanonical(part: string): Buffer {
  const bytes = Buffer.from(part, "base64url");
  return bytes.toString("base64url") === part ? bytes : Buffer.alloc(0);
}

function parseObject(part: string): { readonly [name: string]: Json } | undefined {
  try {
    const value = parseJson(Buffer.from(part, "base64url"), JSON_BOUNDS);
    return typeof value === "object" && value !== null && !Array.isArray(value) ? value : undefined;
  } catch {
    return undefined; // parseJson throws for text that is not strict JSON, which is all that matters of a token
  }
}

/** Verifies signatures with the key of one credential. */
export interface TokenKey {
  readonly algorithm: string;
  verifies(token: Token): boolean;
}

/** The key of a credential; undefined when it cannot be read, does not fit its algorithm or, with `strong`, can be broken. */
export function createTokenKey(algorithm: string, secret: Uint8Array | string, strong: boolean): TokenKey | undefined {
  const hash = `sha${algorithm.slice(-3)}`;
  if (algorithm.startsWith("HS")) {
    const key = createSecretKey(typeof secret === "string" ? Buffer.from(secret, "utf8") : secret);
    return { algorithm, verifies: ({ signed, signature }) => isSame(createHmac(hash, key).update(signed).digest(), signature) };
  }
  const key = readPublicKey(secret);
  if (!key || !fits(key, algorithm, strong)) return undefined;
  if (algorithm === "EdDSA") return { algorithm, verifies: ({ signed, signature }) => verify(null, Buffer.from(signed), key, signature) };
  const options = optionsOf(key, algorithm, strong);
  return { algorithm, verifies: ({ signed, signature }) => verify(hash, Buffer.from(signed), options, signature) };
}

type VerifyOptions = {
  readonly key: KeyObject;
  readonly dsaEncoding?: "ieee-p1363";
  readonly padding?: number;
  readonly saltLength?: number;
};

function optionsOf(key: KeyObject, algorithm: string, strong: boolean): VerifyOptions {
  if (algorithm.startsWith("ES")) return { key, dsaEncoding: "ieee-p1363" };
  if (algorithm.startsWith("RS")) return { key, padding: constants.RSA_PKCS1_PADDING };
  // RFC 7518, 3.5 wants a salt as long as the hash; the dialect's own gateway takes any
  const saltLength = strong ? constants.RSA_PSS_SALTLEN_DIGEST : constants.RSA_PSS_SALTLEN_AUTO;
  return { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength };
}

function fits(key: KeyObject, algorithm: string, strong: boolean): boolean {
  const { namedCurve, modulusLength = 0 } = key.asymmetricKeyDetails ?? {};
  switch (key.asymmetricKeyType) {
    case "ec":
      return namedCurve !== undefined && namedCurve === CURVES[algorithm];
    case "rsa":
      return /^[RP]S/.test(algorithm) && (!strong || modulusLength >= RSA_BITS_MIN);
    case "ed25519":
    case "ed448":
      return algorithm === "EdDSA";
    default:
      return false;
  }
}

function readPublicKey(pem: Uint8Array | string): KeyObject | undefined {
  try {
    return createPublicKey(typeof pem === "string" ? pem : Buffer.from(pem));
  } catch {
    return undefined; // OpenSSL says no more than that it is no key
  }
}

function isSame(expected: Buffer, given: Buffer): boolean {
  return expected.length === given.length && timingSafeEqual(expected, given);
}
