import { z } from "zod";
import { LINK_CODE_LIFETIME_S, listLinks, makeLinkCode, removeLinks, speaksFor } from "../../../agents/index.ts";
import { json, NO_CONTENT, type Operation, tenantOperation } from "../../../gateway/index.ts";
import { recordChange } from "../../record-change.ts";
import { entityId } from "../../schemas.ts";
import type { Services } from "../../services.ts";

/** `/api/links`: on which chat platforms the caller is recognised. */
export function ownLinks(services: Services): readonly Operation[] {
  const path = "/api/links";
  return [
    tenantOperation(
      { role: "member", scope: "chat" },
      {
        method: "GET",
        path,
        summary: "List the people of chat platforms who are the caller.",
        run: async ({ scope }) => json(200, { links: await listLinks(scope) }),
      },
    ),
    tenantOperation(
      { role: "member", scope: "chat" },
      {
        method: "POST",
        path,
        summary: 'Make a code by which the caller is recognised on a chat platform: write "link <code>" there within ten minutes.',
        body: z.strictObject({ userId: entityId.optional() }),
        run: async ({ context, scope, body }) =>
          json(201, { code: await makeLinkCode(scope, speaksFor(context, body.userId), services.random), expiresIn: LINK_CODE_LIFETIME_S }),
      },
    ),
    tenantOperation(
      { role: "member", scope: "chat" },
      {
        method: "DELETE",
        path,
        summary: "Be recognised on no chat platform any more.",
        async run(call) {
          await removeLinks(call.scope);
          recordChange(services, call, "channel_links_removed", call.context.tenant.id);
          return NO_CONTENT;
        },
      },
    ),
  ];
}
