import { z } from "zod";
import { uuidV7 } from "../../../kernel/index.ts";
import { json, type Operation, tenantOperation } from "../../../gateway/index.ts";
import { agreeingTenantId, entityId, metadata, text } from "../../schemas.ts";
import type { Services } from "../../services.ts";
import { firstLine, storeAtOnce, TEXT_LENGTH_MAX } from "./document.ts";

const BODY_BYTES_MAX = 2 * 1024 * 1024;

const documentInput = z.strictObject({
  id: entityId.optional(),
  title: text(500).optional(),
  text: text(TEXT_LENGTH_MAX),
  metadata,
  tenantId: agreeingTenantId,
});

/** `POST /documents`: stores a document and its search points in one transaction, so it is found as soon as it is acknowledged. */
export function putDocument({ clock, random }: Services): Operation {
  return tenantOperation(
    { role: "member", scope: "documents" },
    {
      method: "POST",
      path: "/documents",
      summary: "Store a document, or replace the one with this id. It can be searched at once.",
      body: documentInput,
      bytesMax: BODY_BYTES_MAX,
      async run({ body, scope, signal }) {
        const { text: content, metadata: extra } = body;
        const id = body.id ?? uuidV7(clock, random);
        const title = body.title ?? firstLine(content);
        await storeAtOnce(scope, { id, title, text: content, metadata: extra }, signal);
        return json(201, { id, title, bytes: Buffer.byteLength(content) }, { location: `/documents/${encodeURIComponent(id)}` });
      },
    },
  );
}
