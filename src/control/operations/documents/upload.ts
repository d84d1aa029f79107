import { z } from "zod";
import { Fault } from "../../../kernel/index.ts";
import { json, type Operation, rawTenantOperation } from "../../../gateway/index.ts";
import type { TenantScope } from "../../../stores/index.ts";
import { passagesOf } from "../../../stores/search/index.ts";
import { createDocumentReader } from "../../reading/document-reader.ts";
import { DOCUMENT_TYPES, type ReadDocument } from "../../reading/document-types.ts";
import { agreeingTenantId, entityId, text } from "../../schemas.ts";
import { askForIndex, firstLine, type NewDocument, storeAtOnce, TEXT_LENGTH_MAX, writeDocument } from "./document.ts";

const UPLOAD_BYTES_MAX = 16 * 1024 * 1024;
const TITLE_LENGTH_MAX = 500;
/** A document of more passages is made findable in the background: an embedder far away takes a second for each hundred. */
const AT_ONCE_MAX = 100;

const uploadQuery = z.strictObject({ title: text(TITLE_LENGTH_MAX).optional(), tenantId: agreeingTenantId });

/**
 * `PUT /documents/{id}`: stores what was uploaded, as plain text, Markdown, HTML or PDF. 201: it is found at once. 202: it is long, and will be found soon;
 * `GET /documents/{id}` says how far that is.
 */
export function uploadDocument(): Operation {
  const reader = createDocumentReader();
  return rawTenantOperation(
    { role: "member", scope: "documents" },
    {
      method: "PUT",
      path: "/documents/{id}",
      summary:
        "Upload a document as plain text, Markdown, HTML or PDF, in the place of the one with this id. 202: it can be searched soon.",
      query: uploadQuery,
      bodyTypes: DOCUMENT_TYPES,
      bytesMax: UPLOAD_BYTES_MAX,
      async run({ params, context, scope, head, query, body, signal }) {
        const id = checkId(params["id"]);
        const read = await reader.read(context.tenant.uuid, head.headers.one("content-type"), body, signal);
        const document = toDocument(id, query.title, read);
        const passages = passagesOf(document.text).length;
        const later = passages > AT_ONCE_MAX;
        await (later ? storeForLater(scope, document) : storeAtOnce(scope, document, signal));
        const shown = { id, title: document.title, bytes: Buffer.byteLength(document.text), passages };
        return json(later ? 202 : 201, shown, { location: `/documents/${encodeURIComponent(id)}` });
      },
    },
  );
}

function checkId(given: string | undefined): string {
  const id = entityId.safeParse(given);
  if (id.success) return id.data;
  const detail = "The id of a document has at most 128 letters, digits and . _ @ : -, and begins with a letter or digit.";
  throw new Fault("malformed_request", detail, { public: { detail, field: "id" } });
}

function toDocument(id: string, title: string | undefined, read: ReadDocument): NewDocument {
  const content = read.text.replaceAll("\0", "").trim(); // a text of the database has no NUL
  if (content === "")
    throw refused("malformed_request", "There is no text in the document. A scan has to be read by character recognition first.");
  if (content.length > TEXT_LENGTH_MAX)
    throw refused("body_too_large", `The text of a document may have ${TEXT_LENGTH_MAX} characters; this has ${content.length}.`);
  return { id, title: title ?? firstLine(read.title ?? content), text: content };
}

async function storeForLater(scope: TenantScope, document: NewDocument): Promise<void> {
  await scope.data.transaction(async (tx) => {
    await writeDocument(tx, scope, document);
    await scope.search.remove(tx, "document", document.id); // what the one before said is no longer found
    await askForIndex(tx, scope, document.id);
  });
}

function refused(code: "malformed_request" | "body_too_large", detail: string): Fault {
  return new Fault(code, detail, { public: { detail } });
}
