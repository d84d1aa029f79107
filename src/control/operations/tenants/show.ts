import { json, type Operation, platformOperation } from "../../../gateway/index.ts";
import type { Services } from "../../services.ts";
import { placesOf } from "./move.ts";
import { toViewWithRun } from "./run-view.ts";
import { namedTenant } from "./tenant-view.ts";

/** `GET /admin/v1/tenants/{id}`: one tenant with everything its plan gives it. */
export function showTenant(services: Services): Operation {
  return platformOperation(
    { role: "viewer" },
    {
      method: "GET",
      path: "/admin/v1/tenants/{id}",
      summary: "Read a tenant, and how far what is being done to it has come.",
      async run({ params }) {
        const tenant = await namedTenant(services.registry, params["id"]);
        const shown = toViewWithRun(tenant, await services.lifecycle.newest(tenant));
        return json(200, { ...shown, places: await placesOf(services, tenant) });
      },
    },
  );
}
