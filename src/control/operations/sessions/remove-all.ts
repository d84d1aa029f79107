import { z } from "zod";
import { mayActForOthers, removeSessionsOf } from "../../../agents/index.ts";
import { Fault } from "../../../kernel/index.ts";
import { json, type Operation, tenantOperation } from "../../../gateway/index.ts";
import { entityId } from "../../schemas.ts";

/** `DELETE /api/sessions?userId=…`: removes everything that a user has said and was told. A member removes its own. */
export function removeAll(): Operation {
  return tenantOperation(
    { role: "member", scope: "chat" },
    {
      method: "DELETE",
      path: "/api/sessions",
      summary: "Delete all sessions of a user, named by an admin or an API key; a member deletes its own.",
      query: z.strictObject({ userId: entityId.optional() }),
      async run({ query, context, scope }) {
        const { id } = context.principal;
        if (mayActForOthers(context) ? query.userId === undefined : (query.userId ?? id) !== id) {
          const detail = "An admin or an API key names the user with userId; a member may name only itself.";
          throw new Fault("forbidden", "no user of the caller's", { public: { detail, field: "userId" } });
        }
        return json(200, { removed: await removeSessionsOf(scope, query.userId ?? id) });
      },
    },
  );
}
