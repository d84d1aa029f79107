import { json, type Operation, platformOperation } from "../../../gateway/index.ts";
import { recordChange } from "../../record-change.ts";
import type { Services } from "../../services.ts";
import { namedTenant, toView } from "./tenant-view.ts";

/** `POST /admin/v1/tenants/{id}/suspend`: nothing of the tenant is served any more; its streams and sockets end. */
export function suspendTenant(services: Services): Operation {
  return statusOperation(services, "suspend", "suspended", "Suspend a tenant: every call is refused, open streams end, its events wait.");
}

/** `POST /admin/v1/tenants/{id}/resume`: serves the tenant again. */
export function resumeTenant(services: Services): Operation {
  return statusOperation(services, "resume", "active", "Serve a suspended tenant again.");
}

function statusOperation(services: Services, verb: "suspend" | "resume", status: "active" | "suspended", summary: string): Operation {
  return platformOperation(
    { role: "admin" },
    {
      method: "POST",
      path: `/admin/v1/tenants/{id}/${verb}`,
      summary,
      async run(call) {
        const { id } = await namedTenant(services.registry, call.params["id"]);
        const tenant = await services.lifecycle[verb](id);
        recordChange(services, call, `tenant_${status}`, id);
        return json(200, toView(tenant));
      },
    },
  );
}
