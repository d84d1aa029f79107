import { z } from "zod";
import { json, type Operation, platformOperation } from "../../../gateway/index.ts";
import { pageLimit } from "../../schemas.ts";
import type { Services } from "../../services.ts";
import { toView } from "./tenant-view.ts";

/** `GET /admin/v1/tenants`: all tenants in the order of their ids. */
export function listTenants({ registry }: Services): Operation {
  return platformOperation(
    { role: "viewer" },
    {
      method: "GET",
      path: "/admin/v1/tenants",
      summary: "List tenants. `after` is the last id of the page before.",
      query: z.strictObject({ after: z.string().max(63).default(""), limit: pageLimit }),
      run: async ({ query }) => json(200, { tenants: (await registry.list(query.after, query.limit)).map(toView) }),
    },
  );
}
