import { z } from "zod";
import { Fault, TENANT_ROLES } from "../../../kernel/index.ts";
import { json, type Operation, platformOperation } from "../../../gateway/index.ts";
import { recordChange } from "../../record-change.ts";
import { entityId } from "../../schemas.ts";
import type { Services } from "../../services.ts";
import { namedTenant } from "./tenant-view.ts";

const DAY_S = 86_400;

const tokenInput = z.strictObject({
  sub: entityId,
  roles: z.array(z.enum(TENANT_ROLES)).min(1).max(TENANT_ROLES.length).default(["member"]),
  lifetimeSeconds: z.int().min(60).max(DAY_S).default(3_600),
});

/** `POST /admin/v1/tenants/{id}/tokens`: a token of the platform's own issuer for somebody in the tenant. */
export function issueToken(services: Services): Operation {
  return platformOperation(
    { role: "admin" },
    {
      method: "POST",
      path: "/admin/v1/tenants/{id}/tokens",
      summary: "Issue a JWT of the platform's own issuer for a user of the tenant, for at most 24 hours.",
      body: tokenInput,
      async run(call) {
        const { id, status } = await namedTenant(services.registry, call.params["id"]);
        if (status === "erased" || status === "deleting") throw new Fault("not_found", "the tenant is on its way out");
        const { sub, roles, lifetimeSeconds } = call.body;
        const token = services.identity.tokens.issue({ sub, roles, tenantId: id, lifetimeMs: lifetimeSeconds * 1000 });
        recordChange(services, call, "token_issued", id, { sub, roles });
        return json(201, { token, expiresIn: lifetimeSeconds });
      },
    },
  );
}
