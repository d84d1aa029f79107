import { Fault, type TenantContext, toFault } from "../kernel/index.ts";

/** One request under way for a tenant. */
export interface LiveRequest {
  /** Aborts with the caller, or when the tenant may no longer be served. */
  readonly signal: AbortSignal;
  /** Why the tenant may no longer be served; undefined as long as it may. */
  readonly stopped: Fault | undefined;
  end(): void;
}

/** The requests under way per tenant, so that a suspension ends streams and sockets that are already open. */
export interface LiveRequests {
  begin(context: TenantContext, caller: AbortSignal | undefined): LiveRequest;
  /** Ends everything of this tenant (by internal id). */
  stop(tenantUuid: string): void;
  /** The internal ids and names of tenants with requests under way. */
  tenants(): ReadonlyMap<string, TenantContext["tenant"]>;
}

/** A book of the requests under way in this process. */
export function createLiveRequests(): LiveRequests {
  const live = new Map<string, { readonly tenant: TenantContext["tenant"]; readonly controllers: Set<AbortController> }>();
  return {
    begin({ tenant }, caller) {
      const controller = new AbortController();
      const entry = live.get(tenant.uuid) ?? { tenant, controllers: new Set() };
      live.set(tenant.uuid, entry);
      entry.controllers.add(controller);
      const signal = caller ? AbortSignal.any([caller, controller.signal]) : controller.signal;
      const end = (): void => {
        entry.controllers.delete(controller);
        if (entry.controllers.size === 0 && live.get(tenant.uuid) === entry) live.delete(tenant.uuid);
      };
      signal.addEventListener("abort", end, { once: true }); // also when nobody takes the answer any more
      return {
        signal,
        end,
        get stopped() {
          return controller.signal.aborted ? toFault(controller.signal.reason) : undefined;
        },
      };
    },
    stop(tenantUuid) {
      const fault = new Fault("tenant_suspended", "the tenant is no longer served");
      for (const controller of live.get(tenantUuid)?.controllers ?? []) controller.abort(fault);
    },
    tenants: () => new Map([...live].map(([uuid, { tenant }]) => [uuid, tenant])),
  };
}
