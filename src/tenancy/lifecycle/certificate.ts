import { createPublicKey, sign, verify } from "node:crypto";
import { Fault, type Json, parseJson } from "../../kernel/index.ts";
import type { SigningKey } from "../identity/index.ts";

/** The `typ` of a certificate: no token has it, so neither is ever taken for the other (RFC 8725, 3.11). */
const CERTIFICATE_TYPE = "freehold-erasure+jwt";
const CERTIFICATE_BYTES_MAX = 4 * 1024 * 1024;

/** One store in a certificate. */
export interface ErasedStore {
  readonly store: string;
  /** Before: rows, points, entries or files, and what the engine said they took. */
  readonly items: number;
  readonly bytes: number;
  /** After; always 0: otherwise there is no certificate. */
  readonly remaining: number;
  /** ISO 8601, UTC. */
  readonly erasedAt: string;
}

/** What an erasure certificate says. */
export interface ErasureClaims {
  readonly iss: string;
  /** Seconds since 1970. */
  readonly iat: number;
  /** The id of the erasure. */
  readonly jti: string;
  readonly tenant: { readonly id: string; readonly internalId: string };
  readonly requestedBy: string;
  readonly reason: string | null;
  /** From when on every call was refused. ISO 8601, UTC. */
  readonly refusedSince: string;
  readonly erasedAt: string;
  /** The archive that was written before, or null. */
  readonly archive: { readonly sha256: string; readonly bytes: number } | null;
  /** Whether the tenant's own keys were destroyed, which makes what they sealed unreadable in backups too; null where it had no key store. */
  readonly keysDestroyed: boolean | null;
  readonly stores: readonly ErasedStore[];
  /** Every table of the database that has a column for tenants, all of which had no row of this one. */
  readonly verifiedTables: readonly string[];
  /** What is kept, and why. */
  readonly kept: readonly { readonly what: string; readonly why: string }[];
}

/** Signs a certificate (EdDSA, JWS compact serialisation) with the installation's key. */
export function signCertificate(key: SigningKey, claims: ErasureClaims): string {
  const head = `${encode({ alg: "EdDSA", kid: key.kid, typ: CERTIFICATE_TYPE })}.${encode(claims)}`;
  return `${head}.${sign(null, Buffer.from(head), key.privateKey).toString("base64url")}`;
}

/** A public key as a key set has it. */
export interface PublicJwk {
  readonly [name: string]: Json;
}

/**
 * What the certificate says, if one of these keys signed it. Throws `invalid_settings` for everything else: another signature, algorithm
 * or type, or a text that is no certificate.
 */
export function verifyCertificate(text: string, keys: readonly PublicJwk[]): ErasureClaims {
  const parts = text.trim().split(".");
  const [head = "", body = "", signature = ""] = parts;
  const header = readPart(head);
  const claims = readPart(body);
  if (parts.length !== 3 || !header || !claims) throw notGenuine("This is no certificate of an erasure.");
  if (header["alg"] !== "EdDSA" || header["typ"] !== CERTIFICATE_TYPE) throw notGenuine("This is no certificate of an erasure.");
  const key = keys.find(({ kid, kty, crv }) => kid === header["kid"] && kty === "OKP" && crv === "Ed25519");
  if (!key) throw notGenuine("The certificate was signed by another installation: give that one's key set.");
  const publicKey = createPublicKey({ key, format: "jwk" });
  const bytes = Buffer.from(signature, "base64url");
  const signed = bytes.toString("base64url") === signature && verify(null, Buffer.from(`${head}.${body}`), publicKey, bytes);
  if (!signed) throw notGenuine("The certificate was changed: its signature does not hold.");
  return claims as unknown as ErasureClaims; // signed by us, and nothing else has this type
}

function readPart(part: string): Record<string, Json> | undefined {
  try {
    const value = parseJson(Buffer.from(part, "base64url"), { bytesMax: CERTIFICATE_BYTES_MAX, depthMax: 16 });
    return typeof value === "object" && value !== null && !Array.isArray(value) ? value : undefined;
  } catch {
    return undefined; // not strict JSON, which is all that matters
  }
}

function encode(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString("base64url");
}

function notGenuine(detail: string): Fault {
  return new Fault("invalid_settings", detail, { public: { detail } });
}
