import { findSession, mayActForOthers, removeSession } from "../../../agents/index.ts";
import { NO_CONTENT, type Operation, tenantOperation } from "../../../gateway/index.ts";

/** `DELETE /api/sessions/{id}`: removes a session and its messages. */
export function removeOne(): Operation {
  return tenantOperation(
    { role: "member", scope: "chat" },
    {
      method: "DELETE",
      path: "/api/sessions/{id}",
      summary: "Delete a session and its messages.",
      async run({ params, context, scope }) {
        const session = await findSession(scope, params["id"] ?? "", mayActForOthers(context) ? undefined : context.principal.id);
        await removeSession(scope, session);
        return NO_CONTENT;
      },
    },
  );
}
