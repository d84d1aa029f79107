import { z } from "zod";
import { json, type Operation, tenantOperation } from "../../../gateway/index.ts";
import { sql } from "../../../stores/data/index.ts";
import { agreeingTenantId, entityId, pageLimit } from "../../schemas.ts";
import type { User } from "./user.ts";

/** `GET /users`: the tenant's users in the order of their ids. */
export function listUsers(): Operation {
  return tenantOperation(
    { role: "member", scope: "users" },
    {
      method: "GET",
      path: "/users",
      summary: "List the tenant's users. `after` is the last id of the page before.",
      query: z.strictObject({ tenantId: agreeingTenantId, after: entityId.optional(), limit: pageLimit }),
      async run({ query, context, scope }) {
        const { rows } = await scope.data.query<User>(sql`
        select id, email, name, roles, metadata, version, created_at as "createdAt", updated_at as "updatedAt"
        from users where tenant_id = ${context.tenant.uuid} and id > ${query.after ?? ""} order by id limit ${query.limit}`);
        return json(200, { users: rows });
      },
    },
  );
}
