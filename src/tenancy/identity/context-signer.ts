import type { Clock, TenantContext, TenantPrincipal } from "../../kernel/index.ts";
import { encodePart, signParts } from "./compact-jws.ts";
import { OWN_ISSUER, type SigningKey } from "./token-issuer.ts";

/** How long an upstream may believe a signed context, and how long one is used again before the next is made. */
const LIFETIME_S = 300;
const REUSED_MS = 240_000;
/** Upstreams for which a principal's context is kept; a signature costs more than everything else on the way. */
const AUDIENCES_MAX = 8;

interface Signed {
  readonly context: Pick<TenantContext, "tenant" | "provedBy">;
  readonly text: string;
  readonly madeMs: number;
}

/**
 * Signs who a request is for: a JWS (EdDSA, `typ` `tenant-context+jwt`) of five minutes with `aud` = the upstream, so that one upstream
 * cannot use it at another. Its type keeps it from being taken for an access token. The text is kept per principal for four of them, and a
 * changed tenant gets a new one at once.
 */
export function createContextSigner(key: SigningKey, clock: Clock): (context: TenantContext, audience: string) => string {
  const header = encodePart({ alg: "EdDSA", kid: key.kid, typ: "tenant-context+jwt" });
  const kept = new WeakMap<TenantPrincipal, Map<string, Signed>>();

  function make(context: TenantContext, audience: string): string {
    const { tenant, principal } = context;
    const iat = Math.floor(clock.now() / 1000);
    const payload = encodePart({
      iss: OWN_ISSUER,
      aud: audience,
      sub: principal.id,
      iat,
      exp: iat + LIFETIME_S,
      token_use: "context",
      tenant_id: tenant.id,
      tenant_uuid: tenant.uuid,
      tenant_tier: tenant.plan,
      tenant_features: tenant.features,
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
