import {
  type Clock,
  type Json,
  parseTenantId,
  PLATFORM_ROLES,
  type PlatformRole,
  type Scope,
  SCOPES,
  TENANT_ROLES,
  type TenantId,
  type TenantRole,
} from "../../kernel/index.ts";
import { claim, type Claims, isAudience, isSubject, isWithinLifetime, knownOf } from "./claims.ts";
import type { KeySets } from "./jwks.ts";
import { CHANNEL_CLAIM, type IssuerSettings, SCOPES_CLAIM } from "./settings.ts";
import { createSignedTokens, type SignatureRefusal } from "./signed-tokens.ts";

/** No token is believed for longer, however it was signed: a stolen one ends. */
export const TOKEN_LIFETIME_MAX_S = 24 * 60 * 60;

/** Media types an access token may have: not an ID token, a refresh token or anything else that is signed (RFC 9068, 2.1). */
const TYPES: ReadonlySet<string> = new Set(["jwt", "at+jwt"]);

/** Why a token was refused: for the log and the audit trail. The caller always gets the same answer. */
export type TokenRefusal =
  | SignatureRefusal
  | "bad_lifetime"
  | "wrong_audience"
  | "wrong_token_use"
  | "bad_subject"
  | "bad_tenant"
  | "bad_roles"
  | "bad_scopes"
  | "bad_channel"
  | "issuer_tenant_mismatch";

/** Who a token speaks for. */
export type TokenSubject =
  | {
      readonly realm: "tenant";
      readonly subject: string;
      readonly tenantId: TenantId;
      readonly roles: readonly TenantRole[];
      /** All of them unless the token names some. */
      readonly scopes: readonly Scope[];
      /** It is good no longer than this channel is there; undefined for one that is for none. */
      readonly channel: string | undefined;
    }
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

type Refused = { readonly ok: false; readonly reason: TokenRefusal; readonly attempt?: TokenAttempt };

/** A verifier that believes exactly these issuers, each for its own tenants (RFC 8725; RFC 9068, 4). */
export function createTokenVerifier(issuers: readonly IssuerSettings[], keySets: KeySets, clock: Clock): TokenVerifier {
  const verifyToken = createSignedTokens<IssuerSettings, TokenVerdict>(
    {
      isType: (typ) => typ === undefined || TYPES.has(typ),
      issuers: new Map(issuers.map((issuer) => [issuer.issuer, issuer])),
      check: checkClaims,
      refuse,
    },
    keySets,
    clock,
  );
  return { verifyToken };
}

function checkClaims(claims: Claims, issuer: IssuerSettings, nowS: number): TokenVerdict {
  if (!isWithinLifetime(claims, nowS, TOKEN_LIFETIME_MAX_S)) return refuse("bad_lifetime");
  if (!isAudience(claim(claims, "aud"), issuer.audience)) return refuse("wrong_audience");
  const use = claim(claims, "token_use");
  if (use !== undefined && use !== "access") return refuse("wrong_token_use");
  const subject = claim(claims, "sub");
  if (!isSubject(subject)) return refuse("bad_subject");
  const platformRoles = issuer.platform ? claim(claims, issuer.claims.platformRoles) : undefined;
  return platformRoles === undefined ? checkTenant(claims, issuer, subject) : checkPlatform(claims, issuer, subject, platformRoles);
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
  const roles = named === undefined ? [] : knownOf(named, TENANT_ROLES);
  if (!roles) return refuse("bad_roles");
  const limit = claim(claims, SCOPES_CLAIM);
  const scopes = limit === undefined ? SCOPES : knownOf(limit, SCOPES);
  if (!scopes) return refuse("bad_scopes");
  const channel = claim(claims, CHANNEL_CLAIM);
  if (channel !== undefined && typeof channel !== "string") return refuse("bad_channel");
  return { ok: true, token: { realm: "tenant", subject, tenantId, roles: roles.length === 0 ? ["member"] : roles, scopes, channel } };
}

function checkPlatform(claims: Claims, issuer: IssuerSettings, subject: string, value: Json): TokenVerdict {
  // nobody is an operator and inside a tenant at once
  if (claim(claims, issuer.claims.tenant) !== undefined) return refuse("bad_tenant");
  const roles = knownOf(value, PLATFORM_ROLES);
  if (!roles || roles.length === 0) return refuse("bad_roles");
  return { ok: true, token: { realm: "platform", subject, roles } };
}

function refuse(reason: TokenRefusal): Refused {
  return { ok: false, reason };
}
