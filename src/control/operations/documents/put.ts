import { z } from "zod";
import { uuidV7 } from "../../../kernel/index.ts";
import { json, type Operation, tenantOperation } from "../../../gateway/index.ts";
import { sql } from "../../../stores/data/index.ts";
import { addToCounter } from "../../counters.ts";
import { agreeingTenantId, entityId, metadata, text } from "../../schemas.ts";
import type { Services } from "../../services.ts";

const TEXT_LENGTH_MAX = 500_000;
const TITLE_CHARACTERS_MAX = 120;
const BODY_BYTES_MAX = 2 * 1024 * 1024;

const documentInput = z.strictObject({
  id: entityId.optional(),
  title: text(500).optional(),
  text: text(TEXT_LENGTH_MAX),
  metadata,
  tenantId: agreeingTenantId,
});

/** `POST /documents`: stores a document and its search points in one transaction, so it is found as soon as it is acknowledged. */
export function putDocument({ identity, clock, random }: Services): Operation {
  return tenantOperation(
    { role: "member", scope: "documents" },
    {
      method: "POST",
      path: "/documents",
      summary: "Store a document, or replace the one with this id. It can be searched at once.",
      body: documentInput,
      bytesMax: BODY_BYTES_MAX,
      async run({ body, context, scope, head, signal }) {
        identity.agree(context, body.tenantId, head.remoteAddress);
        const { tenant, principal } = context;
        const { text: content, metadata: extra } = body;
        const id = body.id ?? uuidV7(clock, random);
        const title = body.title ?? firstLine(content);
        const payload = { ...extra, userId: principal.id };
        const item = await scope.search.prepare({ kind: "document", ref: id, title, text: content, payload }, signal);
        const size = Buffer.byteLength(content);
        await scope.data.transaction(async (tx) => {
          const old = await tx.query<{ size: number }>(
            sql`select octet_length(body) as size from documents where tenant_id = ${tenant.uuid} and id = ${id} for update`,
          );
          await addToCounter(tx, context, "storageBytes", size - (old.rows[0]?.size ?? 0), tenant.quotas.storageLimit);
          await tx.query(sql`
          insert into documents (tenant_id, id, title, body, metadata, created_by)
          values (${tenant.uuid}, ${id}, ${title}, ${content}, ${JSON.stringify(extra)}::jsonb, ${principal.id})
          on conflict (tenant_id, id) do update
            set title = excluded.title, body = excluded.body, metadata = excluded.metadata, updated_at = now()`);
          await scope.search.put(tx, item);
          await scope.events.publish(tx, { topic: "document.events", type: "document.stored", key: id, data: { documentId: id } });
        });
        return json(201, { id, title, bytes: size }, { location: `/documents/${encodeURIComponent(id)}` });
      },
    },
  );
}

/** What the document is called that has no title. */
function firstLine(content: string): string {
  const line = (content.split("\n", 1)[0] ?? "").slice(0, TITLE_CHARACTERS_MAX);
  return line.replace(/[\uD800-\uDBFF]$/, ""); // half a character cannot be stored
}
