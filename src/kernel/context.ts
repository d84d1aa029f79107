import type { Tenant } from "./tenant.ts";

export const TENANT_ROLES = ["member", "admin"] as const;
/** A role inside one tenant. It can never satisfy a question about a platform role. */
export type TenantRole = (typeof TENANT_ROLES)[number];

export const PLATFORM_ROLES = ["viewer", "admin"] as const;
/** A role of the platform's operators. */
export type PlatformRole = (typeof PLATFORM_ROLES)[number];

/** Parts of the tenant API that a key may be limited to. */
export const SCOPES = ["chat", "models", "search", "documents", "users", "tenant"] as const;
export type Scope = (typeof SCOPES)[number];

export const PROVED_BY = ["jwt", "api_key", "development_token"] as const;
/** How the principal was proved. */
export type ProvedBy = (typeof PROVED_BY)[number];

/** Somebody or something inside one tenant. */
export interface TenantPrincipal {
  readonly realm: "tenant";
  readonly kind: "user" | "api_key";
  /** Unique inside the tenant: the subject of the token, or the public id of the key. */
  readonly id: string;
  readonly roles: readonly TenantRole[];
  /** What the credential is limited to. */
  readonly scopes: readonly Scope[];
}

/** An operator of the platform. It is in no tenant. */
export interface PlatformPrincipal {
  readonly realm: "platform";
  readonly kind: "user" | "api_key";
  readonly id: string;
  readonly roles: readonly PlatformRole[];
}

/** Whoever makes a call: in one tenant, or of the platform; never both. */
export type Principal = TenantPrincipal | PlatformPrincipal;

/** W3C Trace Context, level 1. */
export interface Trace {
  /** 32 hexadecimal digits. */
  readonly traceId: string;
  /** 16 hexadecimal digits: this process's own span. */
  readonly spanId: string;
  readonly sampled: boolean;
}

/** The answer to "who is this for". It cannot be changed, and nothing of a tenant can be reached without one. */
export interface TenantContext {
  readonly tenant: Tenant;
  readonly principal: TenantPrincipal;
  readonly provedBy: ProvedBy | "event" | "system";
  readonly requestId: string;
  readonly trace: Trace;
}

/** The principal, unchangeable together with its lists. One that is so already is given back as it is. */
export function freezePrincipal(principal: TenantPrincipal): TenantPrincipal {
  if (Object.isFrozen(principal) && Object.isFrozen(principal.roles) && Object.isFrozen(principal.scopes)) return principal;
  return Object.freeze({ ...principal, roles: Object.freeze([...principal.roles]), scopes: Object.freeze([...principal.scopes]) });
}

/** A frozen TenantContext of exactly these parts. */
export function createTenantContext(parts: TenantContext): TenantContext {
  const { tenant, principal, provedBy, requestId, trace } = parts;
  return Object.freeze({
    tenant,
    principal: freezePrincipal(principal),
    provedBy,
    requestId,
    trace: Object.isFrozen(trace) ? trace : Object.freeze({ ...trace }),
  });
}
