import type { Json, PlatformPrincipal, TenantContext } from "../kernel/index.ts";
import type { RequestHead } from "../wire/index.ts";
import type { Services } from "./services.ts";

/** The parts of a call that say who made it. */
export interface Caller {
  readonly head: RequestHead;
  readonly requestId: string;
  readonly principal?: PlatformPrincipal;
  readonly context?: TenantContext;
}

/** Writes a change of settings, keys or life to the audit trail of the platform and, for a tenant's own change, of that tenant. */
export function recordChange(
  { audit }: Pick<Services, "audit">,
  { head, requestId, principal, context }: Caller,
  action: string,
  targetTenant: string | null,
  detail: Readonly<Record<string, Json>> = {},
): void {
  audit.record({
    action,
    reason: "allowed",
    actor: context?.principal.id ?? principal?.id ?? null,
    actorTenant: context ? { id: context.tenant.id, uuid: context.tenant.uuid } : null,
    targetTenant,
    requestId,
    source: head.remoteAddress,
    detail,
  });
}
