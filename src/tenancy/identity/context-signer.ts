import type { Clock, Tenant, TenantContext, TenantPrincipal } from "../../kernel/index.ts";
import { encodePart, signParts } from "./compact-jws.ts";
import { OWN_ISSUER, type SigningKey } from "./token-issuer.ts";

/** The media type that keeps a context from being taken for an access token, and an access token for a context. */
export const CONTEXT_TYPE = "tenant-context+jwt";
/** How long an upstream may believe a signed context, in seconds. */
export const CONTEXT_LIFETIME_S = 300;
/** How long one is used again before the next is made. */
const REUSED_MS = 240_000;
/** Upstreams for which a principal's context is kept; a signature costs more than everything else on the way. */
const AUDIENCES_MAX = 8;

/** What a gateway vouches for about a tenant. */
export type VouchedTenant = Pick<Tenant, "id" | "uuid" | "plan" | "features" | "locale">;

/** What is signed of a context. */
export interface SignableContext extends Pick<TenantContext, "principal" | "provedBy"> {
  readonly tenant: VouchedTenant;
}

interface Signed {
  readonly context: Pick<SignableContext, "tenant" | "provedBy">;
  readonly text: string;
  readonly madeMs: number;
}

/**
 * Signs who a request is for: a JWS (EdDSA, `typ` `tenant-context+jwt`) of five minutes with `aud` = the upstream, so that one upstream
 * cannot use it at another. Its type keeps it from being taken for an access token. The text is kept per principal for four of them, and a
 * changed tenant gets a new one at once.
 */
export function createContextSigner(key: SigningKey, clock: Clock): (context: SignableContext, audience: string) => string {
  const header = encodePart({ alg: "EdDSA", kid: key.kid, typ: CONTEXT_TYPE });
  const kept = new WeakMap<TenantPrincipal, Map<string, Signed>>();

  function make(context: SignableContext, audience: string): string {
    const { tenant, principal } = context;
    const iat = Math.floor(clock.now() / 1000);
    const payload = encodePart({
      iss: OWN_ISSUER,
      aud: audience,
      sub: principal.id,
      iat,
      exp: iat + CONTEXT_LIFETIME_S,
      token_use: "context",
      tenant_id: tenant.id,
      tenant_uuid: tenant.uuid,
      tenant_tier: tenant.plan,
      tenant_features: tenant.features,
      tenant_locale: tenant.locale,
      principal_kind: principal.kind,
      roles: principal.roles,
      scopes: principal.scopes,
      proved_by: context.provedBy,
    });
    return signParts(header, payload, key.privateKey);
  }

  return (context, audience) => {
    const { tenant, principal, provedBy } = context;
    const nowMs = clock.monotonic();
    let ofPrincipal = kept.get(principal);
    const found = ofPrincipal?.get(audience);
    const isSame = found?.context.tenant === tenant && found.context.provedBy === provedBy;
    if (found && isSame && nowMs - found.madeMs < REUSED_MS) return found.text;
    if (!ofPrincipal || ofPrincipal.size >= AUDIENCES_MAX) {
      ofPrincipal = new Map();
      kept.set(principal, ofPrincipal);
    }
    const text = make(context, audience);
    ofPrincipal.set(audience, { context: { tenant, provedBy }, text, madeMs: nowMs });
    return text;
  };
}
