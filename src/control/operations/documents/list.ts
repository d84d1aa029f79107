import { z } from "zod";
import { json, type Operation, tenantOperation } from "../../../gateway/index.ts";
import { sql } from "../../../stores/data/index.ts";
import { agreeingTenantId, entityId, pageLimit } from "../../schemas.ts";

/** `GET /documents`: the tenant's documents in the order of their ids, without their text. */
export function listDocuments(): Operation {
  return tenantOperation(
    { role: "member", scope: "documents" },
    {
      method: "GET",
      path: "/documents",
      summary: "List the tenant's documents. `after` is the last id of the page before.",
      query: z.strictObject({ tenantId: agreeingTenantId, after: entityId.optional(), limit: pageLimit }),
      async run({ query, context, scope }) {
        const { rows } = await scope.data.query(sql`
        select id, title, metadata, octet_length(body) as bytes, created_by as "createdBy", created_at as "createdAt",
          updated_at as "updatedAt"
        from documents where tenant_id = ${context.tenant.uuid} and id > ${query.after ?? ""} order by id limit ${query.limit}`);
        return json(200, { documents: rows });
      },
    },
  );
}
