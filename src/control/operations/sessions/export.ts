import { allMessages, findSession, mayActForOthers, type Session } from "../../../agents/index.ts";
import { type Operation, tenantOperation } from "../../../gateway/index.ts";
import type { TenantScope } from "../../../stores/index.ts";

/** `GET /api/sessions/{id}/export`: a whole session, as lines of JSON: the session, then each of its messages. */
export function exportSession(): Operation {
  return tenantOperation(
    { role: "member", scope: "chat" },
    {
      method: "GET",
      path: "/api/sessions/{id}/export",
      summary: "Read a session with all its messages, as lines of JSON.",
      async run({ params, context, scope }) {
        const session = await findSession(scope, params["id"] ?? "", mayActForOthers(context) ? undefined : context.principal.id);
        return { status: 200, headers: { "content-type": "application/jsonl" }, body: linesOf(scope, session) };
      },
    },
  );
}

async function* linesOf(scope: TenantScope, session: Session): AsyncGenerator<string, void> {
  yield `${JSON.stringify(session)}\n`;
  for await (const message of allMessages(scope, session)) yield `${JSON.stringify(message)}\n`;
}
