import { json, type Operation, platformOperation } from "../../../gateway/index.ts";
import { tenantUpdateSchema } from "../../../tenancy/registry/index.ts";
import { recordChange } from "../../record-change.ts";
import type { Services } from "../../services.ts";
import { namedTenant, toView } from "./tenant-view.ts";

/** `PATCH /admin/v1/tenants/{id}`: changes the given settings; every process sees them within a second. */
export function updateTenant(services: Services): Operation {
  return platformOperation(
    { role: "admin" },
    {
      method: "PATCH",
      path: "/admin/v1/tenants/{id}",
      summary: "Change a tenant's settings. With `version`, only if nobody changed it since.",
      body: tenantUpdateSchema,
      async run(call) {
        const { id } = await namedTenant(services.registry, call.params["id"]);
        const tenant = await services.registry.update(id, call.body);
        recordChange(services, call, "tenant_changed", id);
        return json(200, toView(tenant));
      },
    },
  );
}
