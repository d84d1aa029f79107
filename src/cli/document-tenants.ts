import type { GatewayDocument } from "../gateway/index.ts";
import { Fault, parseTenantId, toFault } from "../kernel/index.ts";
import type { Lifecycle } from "../tenancy/lifecycle/index.ts";
import type { Registry } from "../tenancy/registry/index.ts";

/** The plan whose quotas a plan of the document begins with where the registry does not know it. */
const MODEL_PLAN = "starter";
const BY_DOCUMENT = { actor: "gateway-document", requestId: "document", source: "document" } as const;

/**
 * Registers the plans and tenants that the document names and the registry does not know: one line makes a tenant. Nothing that is known is
 * changed, and a tenant that the document no longer names stays. What cannot be registered is reported.
 */
export async function registerTenants(
  document: GatewayDocument,
  { registry, lifecycle, report }: { readonly registry: Registry; readonly lifecycle: Lifecycle; readonly report: (fault: Fault) => void },
): Promise<void> {
  for (const [id, { plan }] of document.tenants) {
    const tenantId = parseTenantId(id);
    if (tenantId === undefined || (await registry.find(tenantId))) continue;
    try {
      if (plan !== undefined) await registerPlan(plan, registry);
      await lifecycle.create({ id: tenantId, name: id, plan: plan ?? MODEL_PLAN }, BY_DOCUMENT);
    } catch (error) {
      const fault = toFault(error);
      // another process has just made it
      if (fault.code !== "conflict")
        report(new Fault(fault.code, `tenant ${id} of the gateway document: ${fault.message}`, { cause: error }));
    }
  }
}

async function registerPlan(name: string, registry: Registry): Promise<void> {
  const plans = registry.plans();
  const model = plans.find((plan) => plan.name === MODEL_PLAN);
  if (model && !plans.some((plan) => plan.name === name)) await registry.putPlan({ ...model, name });
}
