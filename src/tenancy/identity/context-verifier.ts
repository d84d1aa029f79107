import {
  type Clock,
  freezePrincipal,
  isUuid,
  type Json,
  parseTenantId,
  PROVED_BY,
  type ProvedBy,
  SCOPES,
  TENANT_ROLES,
  type TenantPrincipal,
} from "../../kernel/index.ts";
import { claim, type Claims, isAudience, isSubject, isWithinLifetime, knownOf } from "./claims.ts";
import { CONTEXT_LIFETIME_S, CONTEXT_TYPE, type VouchedTenant } from "./context-signer.ts";
import type { KeySets } from "./jwks.ts";
import { createSignedTokens, type SignatureRefusal } from "./signed-tokens.ts";
import { OWN_ISSUER } from "./token-issuer.ts";

const PLAN = /^[a-z][a-z0-9-]{0,62}$/;
const FEATURE = /^[a-z][a-z0-9_]{0,63}$/;
const LOCALE = /^[A-Za-z0-9-]{1,35}$/;
const PRINCIPAL_KINDS = ["user", "api_key"] as const;

/** What a signed context says: who a request is for, who makes it, and how and until when that was proved to the gateway. */
export interface ContextStatement {
  readonly tenant: VouchedTenant;
  readonly principal: TenantPrincipal;
  readonly provedBy: ProvedBy;
  /** When it was signed, in seconds since 1970: what an older statement says of the tenant may have changed since. */
  readonly issuedAtS: number;
}

/** What became of a signed context. The reason is for the log: a caller cannot tell one from another. */
export type ContextVerdict =
  | { readonly ok: true; readonly statement: ContextStatement }
  | { readonly ok: false; readonly reason: ContextRefusal };

/** Why a signed context was refused. */
export type ContextRefusal = SignatureRefusal | "bad_lifetime" | "wrong_audience" | "wrong_token_use" | "bad_statement";

/**
 * Verifies what `createContextSigner` made, for exactly one audience: a context for another upstream, an access token, an older one than
 * five minutes (with a minute for clocks) or one by a key that the gateway does not publish is refused.
 */
export function createContextVerifier(
  audience: string,
  keySets: KeySets,
  clock: Clock,
): (text: string) => ContextVerdict | Promise<ContextVerdict> {
  return createSignedTokens<string, ContextVerdict>(
    {
      isType: (typ) => typ === CONTEXT_TYPE,
      issuers: new Map([[OWN_ISSUER, audience]]),
      check: checkContext,
      refuse: (reason) => ({ ok: false, reason }),
    },
    keySets,
    clock,
  );
}

function checkContext(claims: Claims, audience: string, nowS: number): ContextVerdict {
  if (!isWithinLifetime(claims, nowS, CONTEXT_LIFETIME_S)) return { ok: false, reason: "bad_lifetime" };
  if (!isAudience(claim(claims, "aud"), audience)) return { ok: false, reason: "wrong_audience" };
  if (claim(claims, "token_use") !== "context") return { ok: false, reason: "wrong_token_use" };
  const statement = toStatement(claims);
  return statement ? { ok: true, statement } : { ok: false, reason: "bad_statement" };
}

function toStatement(claims: Claims): ContextStatement | undefined {
  const tenant = toTenant(claims);
  const id = claim(claims, "sub");
  const kind = PRINCIPAL_KINDS.find((known) => known === claim(claims, "principal_kind"));
  const provedBy = PROVED_BY.find((known) => known === claim(claims, "proved_by"));
  const roles = knownOf(claim(claims, "roles"), TENANT_ROLES);
  const scopes = knownOf(claim(claims, "scopes"), SCOPES);
  if (!tenant || !isSubject(id) || !kind || !provedBy || !roles || !scopes) return undefined;
  const principal = freezePrincipal({ realm: "tenant", kind, id, roles, scopes });
  return Object.freeze({ tenant, principal, provedBy, issuedAtS: Number(claims["iat"]) });
}

function toTenant(claims: Claims): VouchedTenant | undefined {
  const id = parseTenantId(claim(claims, "tenant_id"));
  const uuid = claim(claims, "tenant_uuid");
  const plan = claim(claims, "tenant_tier");
  const features = claim(claims, "tenant_features");
  const locale = claim(claims, "tenant_locale");
  if (id === undefined || typeof uuid !== "string" || !isUuid(uuid) || !isText(plan, PLAN) || !isText(locale, LOCALE)) return undefined;
  if (!Array.isArray(features) || !features.every((feature) => isText(feature, FEATURE))) return undefined;
  return Object.freeze({ id, uuid, plan, features: Object.freeze([...features]), locale });
}

function isText(value: Json | undefined, shape: RegExp): value is string {
  return typeof value === "string" && shape.test(value);
}
