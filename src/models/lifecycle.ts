import { createRowLifecycle, type DataStore, type RowLifecycle } from "../stores/data/index.ts";
import { readTenantModels } from "./settings/store.ts";

/**
 * The life of a tenant in its models: settings, keys of its own providers, and what it has used. Exported are the settings that it has made
 * itself; none of it is put back by an import, where providers' keys would be missing and what was used belongs to the other installation.
 */
export function createModelLifecycle({ rows, system }: Pick<DataStore, "rows" | "system">): RowLifecycle {
  const own = createRowLifecycle(rows, { name: "models", owns: (place) => place.startsWith("freehold.model_") });
  return {
    ...own,
    async *export(tenant) {
      const { own: document } = await readTenantModels(system, tenant.uuid);
      if (document !== null && document !== undefined) yield { kind: "models", value: document as Record<string, unknown> }; // stored as an object
    },
    import: async () => {},
  };
}
