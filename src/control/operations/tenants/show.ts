import { json, type Operation, platformOperation } from "../../../gateway/index.ts";
import type { Services } from "../../services.ts";
import { toViewWithRun } from "./run-view.ts";
import { namedTenant } from "./tenant-view.ts";

/** `GET /admin/v1/tenants/{id}`: one tenant with everything its plan gives it. */
export function showTenant({ registry, lifecycle }: Services): Operation {
  return platformOperation(
    { role: "viewer" },
    {
      method: "GET",
      path: "/admin/v1/tenants/{id}",
      summary: "Read a tenant, and how far what is being done to it has come.",
      async run({ params }) {
        const tenant = await namedTenant(registry, params["id"]);
        return json(200, toViewWithRun(tenant, await lifecycle.newest(tenant)));
      },
    },
  );
}
