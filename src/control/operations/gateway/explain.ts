import { z } from "zod";
import { type DataPlane, json, type Operation, platformOperation } from "../../../gateway/index.ts";
import { parseTenantId } from "../../../kernel/index.ts";

/** `GET /admin/v1/gateway/explain`: which route, plugins and upstream a request of a tenant would meet, and where each setting stands. */
export function explainRoute(dataPlane: Pick<DataPlane, "explain">): Operation {
  return platformOperation(
    { role: "viewer" },
    {
      method: "GET",
      path: "/admin/v1/gateway/explain",
      summary: "Explain what the gateway would do with a request of a tenant.",
      query: z.strictObject({ tenant: z.string().max(63), method: z.string().min(1).max(32), url: z.url({ protocol: /^https?$/ }) }),
      async run({ query: { tenant, method, url } }) {
        const { host, pathname, search } = new URL(url);
        return json(200, await dataPlane.explain(parseTenantId(tenant), { method, host, path: pathname + search }));
      },
    },
  );
}
