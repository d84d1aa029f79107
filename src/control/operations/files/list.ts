import { z } from "zod";
import { json, type Operation, tenantOperation } from "../../../gateway/index.ts";
import { agreeingTenantId, pageLimit } from "../../schemas.ts";

/** `GET /files`: the tenant's files in the order of their names. */
export function listFiles(): Operation {
  return tenantOperation(
    { role: "member", scope: "documents" },
    {
      method: "GET",
      path: "/files",
      summary: "List the tenant's files whose names begin with `prefix`. `after` is `next` of the page before.",
      query: z.strictObject({
        tenantId: agreeingTenantId,
        prefix: z.string().optional(),
        after: z.string().optional(),
        limit: pageLimit,
      }),
      async run({ query: { prefix = "", after = "", limit }, scope }) {
        return json(200, await scope.files.list({ prefix, after, limit }));
      },
    },
  );
}
