import { z } from "zod";
import { listSessions, mayActForOthers } from "../../../agents/index.ts";
import { json, type Operation, tenantOperation } from "../../../gateway/index.ts";
import { agreeingTenantId, entityId, pageLimit } from "../../schemas.ts";

/** `GET /api/sessions`: the sessions of the caller's tenant, and only those; a member sees its own. */
export function listAll(): Operation {
  return tenantOperation(
    { role: "member", scope: "chat" },
    {
      method: "GET",
      path: "/api/sessions",
      summary: "List sessions: a member's own, or all of the tenant for an admin or an API key.",
      query: z.strictObject({ tenantId: agreeingTenantId, userId: entityId.optional(), limit: pageLimit }),
      async run({ query, context, scope }) {
        const userId = mayActForOthers(context) ? query.userId : context.principal.id;
        return json(200, { sessions: await listSessions(scope, userId, query.limit) });
      },
    },
  );
}
