import type { TenantId } from "../../../kernel/index.ts";
import type { Answer } from "../../../wire/index.ts";

/** An archive on its way to the caller. It breaks off visibly when a store fails, and is refused by every import then. */
export function archiveAnswer(id: TenantId, archive: AsyncIterable<Uint8Array>): Answer {
  return {
    status: 200,
    headers: { "content-type": "application/gzip", "content-disposition": `attachment; filename="${id}.tar.gz"` },
    body: archive,
  };
}
