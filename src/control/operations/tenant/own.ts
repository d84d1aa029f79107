import { json, type Operation, tenantOperation } from "../../../gateway/index.ts";
import { tenantSelfUpdateSchema } from "../../../tenancy/registry/index.ts";
import { recordChange } from "../../record-change.ts";
import type { Services } from "../../services.ts";
import { toConfig, toView } from "../tenants/tenant-view.ts";

/** `/tenant/v1`: a tenant admin's calls on the tenant's own settings. */
export function ownTenant(services: Services): readonly Operation[] {
  return [
    tenantOperation(
      { role: "member", scope: "tenant" },
      {
        method: "GET",
        path: "/tenant/v1",
        summary: "Read the tenant with its quotas, features and settings.",
        run: ({ context }) => json(200, toView(context.tenant)),
      },
    ),
    tenantOperation(
      { role: "admin", scope: "tenant" },
      {
        method: "GET",
        path: "/tenant/v1/config",
        summary: "Read the tenant's agent and channels.",
        run: ({ context }) => json(200, toConfig(context.tenant)),
      },
    ),
    tenantOperation(
      { role: "admin", scope: "tenant" },
      {
        method: "PATCH",
        path: "/tenant/v1",
        summary: "Change the tenant's name, language, agent, channels and error texts.",
        body: tenantSelfUpdateSchema,
        async run(call) {
          const tenant = await services.registry.update(call.context.tenant.id, call.body);
          recordChange(services, call, "tenant_changed", tenant.id, { fields: Object.keys(call.body) });
          return json(200, toView(tenant));
        },
      },
    ),
  ];
}
