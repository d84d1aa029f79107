import {
  BoundedMap,
  type Clock,
  type Json,
  parseTenantId,
  PLATFORM_ROLES,
  type PlatformRole,
  TENANT_ROLES,
  type TenantId,
  type TenantRole,
} from "../../kernel/index.ts";
import type { KeySet } from "./jwk.ts";
import type { KeySets } from "./jwks.ts";
import { isSignedBy, parseObject, parseToken, type UnverifiedToken } from "./jws.ts";
import type { IssuerSettings } from "./settings.ts";

/** Clocks of issuers may differ from ours by this much. */
const LEEWAY_S = 60;
/** No token is believed for longer, however it was signed: a stolen one ends. */
export const TOKEN_LIFETIME_MAX_S = 24 * 60 * 60;
const SUBJECT_LENGTH_MAX = 256;
/** Verified tokens remembered: at most 8 KiB each, typically 1. */
const TOKENS_REMEMBERED_MAX = 10_000;

// what would change meaning in a log line or a header
const CONTROL_CHARACTER = /\p{Cc}/u;

/** Why a token was refused: for the log and the audit trail. The caller always gets the same answer. */
export type TokenRefusal =
  | "malformed_token"
  | "unknown_issuer"
  | "unknown_key"
  | "bad_signature"
  | "bad_lifetime"
  | "wrong_audience"
  | "wrong_token_use"
  | "bad_subject"
  | "bad_tenant"
  | "bad_roles"
  | "issuer_tenant_mismatch";

/** Who a token speaks for. */
export type TokenSubject =
  | { readonly realm: "tenant"; readonly subject: string; readonly tenantId: TenantId; readonly roles: readonly TenantRole[] }
  | { readonly realm: "platform"; readonly subject: string; readonly roles: readonly PlatformRole[] };

/** What became of a token. For `issuer_tenant_mismatch` it says who tried to be whom: that part was signed by the issuer. */
export type TokenVerdict =
  | { readonly ok: true; readonly token: TokenSubject }
  | { readonly ok: false; readonly reason: TokenRefusal; readonly attempt?: TokenAttempt };

/** A signed attempt to speak for a tenant that the issuer may not speak for. */
export interface TokenAttempt {
  readonly subject: string;
  readonly claimedTenant: TenantId;
  /** The tenant of the issuer when it has exactly one. */
  readonly issuerTenant: TenantId | null;
}

/** Verifies the tokens of a fixed set of issuers. */
export interface TokenVerifier {
  /** Verifies a token completely. Answers at once for a token that it has verified before and that still holds. */
  verifyToken(text: string): TokenVerdict | Promise<TokenVerdict>;
}

interface Remembered {
  readonly set: KeySet;
  readonly issuer: string;
  readonly expS: number;
  readonly verdict: TokenVerdict;
}

type Claims = { readonly [name: string]: Json };
type Refused = { readonly ok: false; readonly reason: TokenRefusal; readonly attempt?: TokenAttempt };

/** A verifier that believes exactly these issuers, each for its own tenants (RFC 8725; RFC 9068, 4). */
export function createTokenVerifier(issuers: readonly IssuerSettings[], keySets: KeySets, clock: Clock): TokenVerifier {
  const trusted = new Map(issuers.map((issuer) => [issuer.issuer, issuer]));
  const remembered = new BoundedMap<string, Remembered>(TOKENS_REMEMBERED_MAX);

  async function verify(text: string): Promise<TokenVerdict> {
    const parsed = parseToken(text);
    // read once, before the signature is checked: the token has one text, so these are the bytes that were signed
    const claims = parsed && parseObject(parsed.payload);
    if (!claims) return refuse("malformed_token");
    const iss = claim(claims, "iss");
    const issuer = typeof iss === "string" ? trusted.get(iss) : undefined;
    if (!issuer) return refuse("unknown_issuer");
    const signed = await checkSignature(parsed, issuer.issuer, keySets);
    if (!signed.ok) return signed;
    const verdict = checkClaims(claims, issuer, clock.now() / 1000);
    if (verdict.ok) remembered.set(text, { set: signed.set, issuer: issuer.issuer, expS: Number(claims["exp"]), verdict });
    return verdict;
  }

  return {
    verifyToken(text) {
      const known = remembered.get(text);
      if (!known) return verify(text);
      // another set of keys may no longer have the one that signed
      if (keySets.current(known.issuer) === known.set && known.expS + LEEWAY_S > clock.now() / 1000) return known.verdict;
      remembered.delete(text);
      return verify(text);
    },
  };
}

async function checkSignature(token: UnverifiedToken, issuer: string, keySets: KeySets): Promise<{ ok: true; set: KeySet } | Refused> {
  let set = keySets.current(issuer);
  let key = set?.key(token.kid);
  if (!key) {
    set = await keySets.renewed(issuer);
    key = set?.key(token.kid);
  }
  if (!set || !key) return refuse("unknown_key");
  return (await isSignedBy(key, token)) ? { ok: true, set } : refuse("bad_signature");
}

function checkClaims(claims: Claims, issuer: IssuerSettings, nowS: number): TokenVerdict {
  if (!isWithinLifetime(claims, nowS)) return refuse("bad_lifetime");
  if (!isAudience(claim(claims, "aud"), issuer.audience)) return refuse("wrong_audience");
  const use = claim(claims, "token_use");
  if (use !== undefined && use !== "access") return refuse("wrong_token_use");
  const subject = claim(claims, "sub");
  if (!isSubject(subject)) return refuse("bad_subject");
  const platformRoles = issuer.platform ? claim(claims, issuer.claims.platformRoles) : undefined;
  return platformRoles === undefined ? checkTenant(claims, issuer, subject) : checkPlatform(claims, issuer, subject, platformRoles);
}

function isWithinLifetime(claims: Claims, nowS: number): boolean {
  const exp = claim(claims, "exp");
  const iat = claim(claims, "iat");
  const nbf = claim(claims, "nbf");
  if (!isWhole(exp) || !isWhole(iat) || (nbf !== undefined && !isWhole(nbf))) return false;
  if (exp <= nowS - LEEWAY_S || iat > nowS + LEEWAY_S || (nbf !== undefined && nbf > nowS + LEEWAY_S)) return false;
  // with the bound on iat above, exp is never more than 24 hours and the leeway from now
  return exp > iat && exp - iat <= TOKEN_LIFETIME_MAX_S;
}

/** A list with more members would make one token good at several services, each of which could use it at the others. */
function isAudience(value: Json | undefined, audience: string): boolean {
  return value === audience || (Array.isArray(value) && value.length === 1 && value[0] === audience);
}

function isSubject(value: Json | undefined): value is string {
  return typeof value === "string" && value.length > 0 && value.length <= SUBJECT_LENGTH_MAX && !CONTROL_CHARACTER.test(value);
}

function checkTenant(claims: Claims, issuer: IssuerSettings, subject: string): TokenVerdict {
  const tenantId = parseTenantId(claim(claims, issuer.claims.tenant));
  if (tenantId === undefined) return refuse("bad_tenant");
  const { tenants } = issuer;
  if (tenants !== "*" && !tenants.includes(tenantId)) {
    const issuerTenant = tenants.length === 1 ? (tenants[0] ?? null) : null;
    return { ok: false, reason: "issuer_tenant_mismatch", attempt: { subject, claimedTenant: tenantId, issuerTenant } };
  }
  const named = claim(claims, issuer.claims.roles);
  const roles = named === undefined ? [] : knownRoles(named, TENANT_ROLES);
  if (!roles) return refuse("bad_roles");
  return { ok: true, token: { realm: "tenant", subject, tenantId, roles: roles.length === 0 ? ["member"] : roles } };
}

function checkPlatform(claims: Claims, issuer: IssuerSettings, subject: string, value: Json): TokenVerdict {
  // nobody is an operator and inside a tenant at once
  if (claim(claims, issuer.claims.tenant) !== undefined) return refuse("bad_tenant");
  const roles = knownRoles(value, PLATFORM_ROLES);
  if (!roles || roles.length === 0) return refuse("bad_roles");
  return { ok: true, token: { realm: "platform", subject, roles } };
}

/** Those of our roles that the list names; undefined when it is not a list of strings. */
function knownRoles<Role extends string>(value: Json, roles: readonly Role[]): readonly Role[] | undefined {
  if (!Array.isArray(value) || !value.every((role) => typeof role === "string")) return undefined;
  return roles.filter((role) => value.includes(role));
}

/** Own members only: a claim is never something that all objects have. */
function claim(claims: Claims, name: string): Json | undefined {
  return Object.hasOwn(claims, name) ? claims[name] : undefined;
}

function isWhole(value: Json | undefined): value is number {
  return typeof value === "number" && Number.isSafeInteger(value);
}

function refuse(reason: TokenRefusal): Refused {
  return { ok: false, reason };
}
