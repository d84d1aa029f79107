import { Fault } from "../../../kernel/index.ts";
import { type Operation, platformOperation, tenantOperation } from "../../../gateway/index.ts";
import { recordChange } from "../../record-change.ts";
import type { Services } from "../../services.ts";
import { archiveAnswer } from "./archive-answer.ts";
import { namedTenant } from "./tenant-view.ts";

/** `GET /admin/v1/tenants/{id}/export`: everything of the tenant, as one archive. */
export function exportTenant(services: Services): Operation {
  return platformOperation(
    { role: "admin" },
    {
      method: "GET",
      path: "/admin/v1/tenants/{id}/export",
      summary: "Export a tenant: one gzipped tar with its data and settings, without secrets.",
      async run(call) {
        const tenant = await namedTenant(services.registry, call.params["id"]);
        if (tenant.status === "erased") throw new Fault("not_found", "the tenant is erased");
        recordChange(services, call, "tenant_exported", tenant.id);
        return archiveAnswer(tenant.id, services.lifecycle.export(tenant));
      },
    },
  );
}

/** `GET /tenant/v1/export`: the same, of the caller's own tenant. */
export function exportOwn(services: Services): Operation {
  return tenantOperation(
    { role: "admin", scope: "tenant" },
    {
      method: "GET",
      path: "/tenant/v1/export",
      summary: "Export the tenant: one gzipped tar with its data and settings, without secrets.",
      run(call) {
        const { tenant } = call.context;
        recordChange(services, call, "tenant_exported", tenant.id);
        return archiveAnswer(tenant.id, services.lifecycle.export(tenant));
      },
    },
  );
}
