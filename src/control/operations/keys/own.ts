import { Fault } from "../../../kernel/index.ts";
import { json, NO_CONTENT, type Operation, tenantOperation } from "../../../gateway/index.ts";
import { isWithin } from "../../../tenancy/policy/index.ts";
import { recordChange } from "../../record-change.ts";
import type { Services } from "../../services.ts";
import { keyInput, makeKey, toKeyView } from "./api-key.ts";

/** `/tenant/v1/keys`: a tenant admin's calls on the tenant's own keys. */
export function ownKeys(services: Services): readonly Operation[] {
  const { registry } = services;
  const path = "/tenant/v1/keys";
  return [
    tenantOperation(
      { role: "admin", scope: "tenant" },
      {
        method: "GET",
        path,
        summary: "List the tenant's API keys, without the keys themselves.",
        run: async ({ context }) => json(200, { keys: (await registry.keys(context.tenant.uuid)).map(toKeyView) }),
      },
    ),
    tenantOperation(
      { role: "admin", scope: "tenant" },
      {
        method: "POST",
        path,
        summary: "Make an API key of the tenant. The key is shown once.",
        body: keyInput,
        async run(call) {
          const { tenant, principal } = call.context;
          if (!isWithin(call.body.scopes, principal.scopes)) {
            throw new Fault("forbidden", "a key with more scopes than its maker", {
              public: { detail: "A key cannot have more scopes than the credential that makes it.", field: "scopes" },
            });
          }
          const made = await makeKey(services, { tenantUuid: tenant.uuid, createdBy: principal.id }, call.body);
          recordChange(services, call, "key_created", tenant.id, { key: String(made["id"]) });
          return json(201, made);
        },
      },
    ),
    tenantOperation(
      { role: "admin", scope: "tenant" },
      {
        method: "DELETE",
        path: `${path}/{keyId}`,
        summary: "Revoke an API key of the tenant, in every process within a second.",
        async run(call) {
          const { tenant } = call.context;
          await registry.revokeKey(tenant.uuid, call.params["keyId"] ?? "");
          recordChange(services, call, "key_revoked", tenant.id, { key: call.params["keyId"] ?? "" });
          return NO_CONTENT;
        },
      },
    ),
  ];
}
