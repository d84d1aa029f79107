import { findSession, listMessages, mayActForOthers } from "../../../agents/index.ts";
import { json, type Operation, tenantOperation } from "../../../gateway/index.ts";

/** `GET /api/sessions/{id}`: one session with its newest messages. */
export function showSession(): Operation {
  return tenantOperation(
    { role: "member", scope: "chat" },
    {
      method: "GET",
      path: "/api/sessions/{id}",
      summary: "Read a session and its newest 200 messages.",
      async run({ params, context, scope }) {
        const session = await findSession(scope, params["id"] ?? "", mayActForOthers(context) ? undefined : context.principal.id);
        return json(200, { ...session, history: await listMessages(scope, session) });
      },
    },
  );
}
