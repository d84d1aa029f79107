import type { TenantScope } from "../stores/index.ts";
import type { SearchItemName } from "../stores/search/index.ts";
import { askForIndex } from "./operations/documents/document.ts";

/**
 * Asks for everything to be seen by the embedder of today that another one has seen. The worker does it one by one, and everything is found by its
 * words meanwhile. Asking twice does no harm.
 */
export async function askForReindex(scope: TenantScope): Promise<void> {
  for (let after: SearchItemName | undefined; ;) {
    const items = await scope.search.stale(after);
    after = items.at(-1);
    if (!after) return;
    await scope.data.transaction(async (tx) => {
      for (const { kind, ref } of items) {
        if (kind === "document") await askForIndex(tx, scope, ref);
        else await scope.events.publish(tx, { topic: "user.events", type: "user.index_asked", key: ref, data: { userId: ref } });
      }
    });
  }
}
