import { z } from "zod";
import { findSession, listMessages, mayActForOthers } from "../../../agents/index.ts";
import { json, type Operation, tenantOperation } from "../../../gateway/index.ts";
import { pageLimit } from "../../schemas.ts";

/** `GET /api/sessions/{id}`: one session with its newest messages, as many as are asked for. */
export function showSession(): Operation {
  return tenantOperation(
    { role: "member", scope: "chat" },
    {
      method: "GET",
      path: "/api/sessions/{id}",
      summary: "Read a session and its newest messages, 200 unless limit says fewer.",
      query: z.strictObject({ limit: pageLimit.default(200) }),
      async run({ params, query, context, scope }) {
        const session = await findSession(scope, params["id"] ?? "", mayActForOthers(context) ? undefined : context.principal.id);
        return json(200, { ...session, history: await listMessages(scope, session, query.limit) });
      },
    },
  );
}
