import { json, type Operation, platformOperation } from "../../../gateway/index.ts";
import { tenantCreateSchema } from "../../../tenancy/registry/index.ts";
import { recordChange } from "../../record-change.ts";
import { requestedBy } from "../../requested-by.ts";
import type { Services } from "../../services.ts";
import { toView } from "./tenant-view.ts";

/** `POST /admin/v1/tenants`: registers a tenant, which is served as soon as every store is ready for it. */
export function createTenant(services: Services): Operation {
  return platformOperation(
    { role: "admin" },
    {
      method: "POST",
      path: "/admin/v1/tenants",
      summary: "Register a tenant. What is not set comes from its plan.",
      body: tenantCreateSchema,
      async run(call) {
        const tenant = await services.lifecycle.create(call.body, requestedBy(call));
        recordChange(services, call, "tenant_created", tenant.id);
        return json(201, toView(tenant), { location: `/admin/v1/tenants/${tenant.id}` });
      },
    },
  );
}
