import { z } from "zod";
import { json, NO_CONTENT, type Operation, platformOperation } from "../../../gateway/index.ts";
import { PLATFORM_ROLES } from "../../../kernel/index.ts";
import { recordChange } from "../../record-change.ts";
import { text } from "../../schemas.ts";
import type { Services } from "../../services.ts";
import { makeKey, toKeyView } from "./api-key.ts";

const input = z.strictObject({
  name: text(100),
  role: z.enum(PLATFORM_ROLES).default("viewer"),
  expiresInDays: z.int().min(1).max(3_650).optional(),
});

/** `/admin/v1/keys`: the API keys of operators and their machines, good for the management and admin APIs and for nothing of a tenant. */
export function keysOfPlatform(services: Services): readonly Operation[] {
  const { registry } = services;
  const path = "/admin/v1/keys";
  return [
    platformOperation(
      { role: "viewer" },
      {
        method: "GET",
        path,
        summary: "List the platform's API keys, without the keys themselves.",
        run: async () => json(200, { keys: (await registry.keys(null)).map(toKeyView) }),
      },
    ),
    platformOperation(
      { role: "admin" },
      {
        method: "POST",
        path,
        summary: "Make an API key for an operator. The key is shown once.",
        body: input,
        async run(call) {
          const { role, ...rest } = call.body;
          const owner = { tenantUuid: null, createdBy: `platform:${call.principal.id}` };
          const made = await makeKey(services, owner, { ...rest, roles: [role], scopes: [] });
          recordChange(services, call, "key_created", null, { key: String(made["id"]) });
          return json(201, made);
        },
      },
    ),
    platformOperation(
      { role: "admin" },
      {
        method: "DELETE",
        path: `${path}/{keyId}`,
        summary: "Revoke an API key of the platform, in every process within a second.",
        async run(call) {
          await registry.revokeKey(null, call.params["keyId"] ?? "");
          recordChange(services, call, "key_revoked", null, { key: call.params["keyId"] ?? "" });
          return NO_CONTENT;
        },
      },
    ),
  ];
}
