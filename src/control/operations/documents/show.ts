import { Fault } from "../../../kernel/index.ts";
import { json, type Operation, tenantOperation } from "../../../gateway/index.ts";
import { sql } from "../../../stores/data/index.ts";

/** `GET /documents/{id}`: one document with its text. */
export function showDocument(): Operation {
  return tenantOperation(
    { role: "member", scope: "documents" },
    {
      method: "GET",
      path: "/documents/{id}",
      summary: "Read a document.",
      async run({ params, context, scope }) {
        const { rows } = await scope.data.query(sql`
        select id, title, body as text, metadata, created_by as "createdBy", created_at as "createdAt", updated_at as "updatedAt"
        from documents where tenant_id = ${context.tenant.uuid} and id = ${params["id"] ?? ""}`);
        if (!rows[0]) throw new Fault("not_found", "no such document");
        return json(200, rows[0]);
      },
    },
  );
}
