import { json, NO_CONTENT, type Operation, platformOperation } from "../../../gateway/index.ts";
import { recordChange } from "../../record-change.ts";
import type { Services } from "../../services.ts";
import { namedTenant } from "../tenants/tenant-view.ts";
import { keyInput, makeKey, toKeyView } from "./api-key.ts";

/** `/admin/v1/tenants/{id}/keys`: an operator's calls on the keys of a tenant. */
export function keysOfTenant(services: Services): readonly Operation[] {
  const { registry } = services;
  const path = "/admin/v1/tenants/{id}/keys";
  return [
    platformOperation(
      { role: "viewer" },
      {
        method: "GET",
        path,
        summary: "List a tenant's API keys, without the keys themselves.",
        async run({ params }) {
          const { uuid } = await namedTenant(registry, params["id"]);
          return json(200, { keys: (await registry.keys(uuid)).map(toKeyView) });
        },
      },
    ),
    platformOperation(
      { role: "admin" },
      {
        method: "POST",
        path,
        summary: "Make an API key of a tenant. The key is shown once.",
        body: keyInput,
        async run(call) {
          const { uuid, id } = await namedTenant(registry, call.params["id"]);
          const made = await makeKey(services, { tenantUuid: uuid, createdBy: `platform:${call.principal.id}` }, call.body);
          recordChange(services, call, "key_created", id, { key: String(made["id"]) });
          return json(201, made);
        },
      },
    ),
    platformOperation(
      { role: "admin" },
      {
        method: "DELETE",
        path: `${path}/{keyId}`,
        summary: "Revoke an API key of a tenant, in every process within a second.",
        async run(call) {
          const { uuid, id } = await namedTenant(registry, call.params["id"]);
          await registry.revokeKey(uuid, call.params["keyId"] ?? "");
          recordChange(services, call, "key_revoked", id, { key: call.params["keyId"] ?? "" });
          return NO_CONTENT;
        },
      },
    ),
  ];
}
