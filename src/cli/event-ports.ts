import { createTenantContext } from "../kernel/index.ts";
import type { ContextOpener, Quarantine } from "../stores/events/index.ts";
import type { Audit } from "../tenancy/audit/index.ts";
import type { Registry } from "../tenancy/registry/index.ts";

/** Events are handled as the tenant itself, with the rights of an admin of it, and only while it is served. */
export function createContextOpener(registry: Pick<Registry, "find">): ContextOpener {
  return async (tenantUuid, _tenantId, event) => {
    const tenant = await registry.find(event.tenantId);
    if (!tenant || tenant.uuid !== tenantUuid) return { ok: false, reason: "unknown" };
    if (tenant.status === "deleting" || tenant.status === "erased") return { ok: false, reason: "deleted" };
    if (tenant.status !== "active") return { ok: false, reason: "suspended" };
    return {
      ok: true,
      context: createTenantContext({
        tenant,
        principal: { realm: "tenant", kind: "user", id: "event-worker", roles: ["admin"], scopes: [] },
        provedBy: "event",
        requestId: event.id,
        trace: event.trace,
      }),
    };
  };
}

/** Puts an event that cannot be trusted into the platform's trail. */
export function recordQuarantine(audit: Audit, { reason, tenantUuid, consumer, eventId }: Quarantine): void {
  audit.record({
    action: "event_quarantined",
    reason,
    actor: null,
    actorTenant: null,
    targetTenant: null,
    requestId: eventId,
    source: "worker",
    detail: { tenantUuid, consumer },
  });
}
