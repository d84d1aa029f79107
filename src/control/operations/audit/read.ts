import { z } from "zod";
import { json, type Operation, platformOperation, tenantOperation } from "../../../gateway/index.ts";
import { pageLimit } from "../../schemas.ts";
import type { Services } from "../../services.ts";

const query = z.strictObject({ limit: pageLimit });

/** `GET /tenant/v1/audit`: the trail of the caller's own tenant. */
export function ownAudit({ audit }: Services): Operation {
  return tenantOperation(
    { role: "admin", scope: "tenant" },
    {
      method: "GET",
      path: "/tenant/v1/audit",
      summary: "Read the newest entries of the tenant's audit trail.",
      query,
      run: async ({ context, query: { limit } }) => json(200, { entries: await audit.ofTenant(context, limit) }),
    },
  );
}

/** `GET /admin/v1/audit`: the trail of the platform. */
export function platformAudit({ audit }: Services): Operation {
  return platformOperation(
    { role: "viewer" },
    {
      method: "GET",
      path: "/admin/v1/audit",
      summary: "Read the newest entries of the platform's audit trail.",
      query,
      run: async ({ query: { limit } }) => json(200, { entries: await audit.ofPlatform(limit) }),
    },
  );
}
