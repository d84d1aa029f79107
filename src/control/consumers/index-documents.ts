import type { EventConsumer } from "../../stores/events/index.ts";
import type { Stores } from "../../stores/index.ts";
import { findDocument, INDEX_ASKED, isStill, toSearchItem } from "../operations/documents/document.ts";

/**
 * Makes documents findable that are too long for the call that brings them, or that another embedder has seen. The document of the moment is what is
 * indexed, part by part: an attempt that ends early is gone on with by the next, and one whose document has changed leaves it to whoever changed it.
 */
export function indexDocuments(stores: Stores): EventConsumer {
  return {
    name: "index-documents",
    topics: ["document.events"],
    async handle(event, context, signal) {
      const id = event.key;
      if (event.type !== INDEX_ASKED) return async () => undefined;
      const { data, search } = stores.scope(context);
      const row = await findDocument(data, context, id);
      if (!row) return async (tx) => await search.remove(tx, "document", id);
      const { title, body, metadata, createdBy, version } = row;
      const item = toSearchItem({ id, title, text: body, metadata }, createdBy);
      for await (const part of search.prepareParts(item, await search.countCurrent(item), signal)) {
        const isOurs = await data.transaction(async (tx) => {
          const still = await isStill(tx, context, id, version);
          if (still) await search.put(tx, part);
          return still;
        });
        if (!isOurs) break;
      }
      return async () => undefined; // what there was to do can be done again without harm
    },
  };
}
