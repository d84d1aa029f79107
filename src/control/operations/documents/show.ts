import { Fault } from "../../../kernel/index.ts";
import { json, type Operation, tenantOperation } from "../../../gateway/index.ts";
import { sql } from "../../../stores/data/index.ts";
import { passagesOf } from "../../../stores/search/index.ts";

/** `GET /documents/{id}`: one document with its text, and how far it can be searched. */
export function showDocument(): Operation {
  return tenantOperation(
    { role: "member", scope: "documents" },
    {
      method: "GET",
      path: "/documents/{id}",
      summary: "Read a document. `search` says how many of its passages can be found.",
      async run({ params, context, scope }) {
        const id = params["id"] ?? "";
        const { rows } = await scope.data.query<{ text: string }>(sql`
        select id, title, body as text, metadata, created_by as "createdBy", created_at as "createdAt", updated_at as "updatedAt"
        from documents where tenant_id = ${context.tenant.uuid} and id = ${id}`);
        if (!rows[0]) throw new Fault("not_found", "no such document");
        const passages = passagesOf(rows[0].text).length;
        const found = Math.min(await scope.search.countCurrent({ kind: "document", ref: id }), passages);
        return json(200, { ...rows[0], search: { state: found === passages ? "ready" : "pending", passages, found } });
      },
    },
  );
}
