import { json, type Operation, platformOperation } from "../../../gateway/index.ts";
import type { Services } from "../../services.ts";
import { namedTenant, toView } from "./tenant-view.ts";

/** `GET /admin/v1/tenants/{id}`: one tenant with everything its plan gives it. */
export function showTenant({ registry }: Services): Operation {
  return platformOperation(
    { role: "viewer" },
    {
      method: "GET",
      path: "/admin/v1/tenants/{id}",
      summary: "Read a tenant.",
      run: async ({ params }) => json(200, toView(await namedTenant(registry, params["id"]))),
    },
  );
}
