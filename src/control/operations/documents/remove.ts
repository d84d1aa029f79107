import { Fault } from "../../../kernel/index.ts";
import { NO_CONTENT, type Operation, tenantOperation } from "../../../gateway/index.ts";
import { sql } from "../../../stores/data/index.ts";
import { addToCounter } from "../../counters.ts";

/** `DELETE /documents/{id}`: removes a document and its search points. */
export function removeDocument(): Operation {
  return tenantOperation(
    { role: "member", scope: "documents" },
    {
      method: "DELETE",
      path: "/documents/{id}",
      summary: "Delete a document. It is no longer found at once.",
      async run({ params, context, scope }) {
        const id = params["id"] ?? "";
        await scope.data.transaction(async (tx) => {
          const { rows } = await tx.query<{ size: number }>(sql`
          delete from documents where tenant_id = ${context.tenant.uuid} and id = ${id} returning octet_length(body) as size`);
          if (!rows[0]) throw new Fault("not_found", "no such document");
          await addToCounter(tx, context, "storageBytes", -rows[0].size, 0);
          await scope.search.remove(tx, "document", id);
          await scope.events.publish(tx, { topic: "document.events", type: "document.deleted", key: id, data: { documentId: id } });
        });
        return NO_CONTENT;
      },
    },
  );
}
