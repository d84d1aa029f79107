import { z } from "zod";
import { json, type Operation, platformOperation } from "../../../gateway/index.ts";
import { Fault } from "../../../kernel/index.ts";
import { recordChange } from "../../record-change.ts";
import { requestedBy } from "../../requested-by.ts";
import { text } from "../../schemas.ts";
import type { Services } from "../../services.ts";
import { toRunView } from "./run-view.ts";
import { namedTenant } from "./tenant-view.ts";

const eraseInput = z.strictObject({ export: z.boolean().default(true), reason: text(200).optional() });

/** `POST /admin/v1/tenants/{id}/erase`: begins to erase the tenant for good. */
export function eraseTenant(services: Services): Operation {
  return platformOperation(
    { role: "admin" },
    {
      method: "POST",
      path: "/admin/v1/tenants/{id}/erase",
      summary:
        "Erase a tenant for good: refused at once, exported unless `export` is false, then gone from every store. Read the tenant to see how far it is.",
      body: eraseInput,
      async run(call) {
        const tenant = await namedTenant(services.registry, call.params["id"]);
        const run = await services.lifecycle.erase(tenant, call.body, requestedBy(call));
        recordChange(services, call, "tenant_erasing", tenant.id, { erasure: run.id, export: call.body.export });
        return json(202, toRunView(run), { location: `/admin/v1/tenants/${tenant.id}` });
      },
    },
  );
}

/** `GET /admin/v1/tenants/{id}/certificate`: the signed proof of an erasure. */
export function showCertificate({ registry, lifecycle }: Services): Operation {
  return platformOperation(
    { role: "viewer" },
    {
      method: "GET",
      path: "/admin/v1/tenants/{id}/certificate",
      summary: "Read the certificate of a tenant's erasure: a JWS that the installation's key set verifies.",
      async run({ params }) {
        const certificate = await lifecycle.certificate(await namedTenant(registry, params["id"]));
        if (certificate === undefined) throw new Fault("not_found", "no certificate");
        return json(200, { certificate });
      },
    },
  );
}
