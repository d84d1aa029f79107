import { Fault, type StoreLifecycle, type StoreTenant } from "../../kernel/index.ts";
import type { CacheEngine } from "./port.ts";

/** A cache needs nothing made, gives nothing away, and keeps nothing of a tenant that has gone. */
export function cacheLifecycle(engine: CacheEngine, clear: (tenant: StoreTenant) => Promise<void>): StoreLifecycle {
  return {
    name: "cache",
    provision: async () => {},
    measure: ({ uuid }) => engine.measure(uuid),
    async *export() {
      // whatever is in a cache can be made again
    },
    async import(_tenant, records) {
      for await (const { kind } of records) {
        throw new Fault("invalid_settings", `a record ${kind} for the cache`, { public: { detail: "A cache cannot be imported." } });
      }
    },
    async erase(tenant) {
      await clear(tenant);
      await engine.erase(tenant.uuid);
    },
    async remains({ uuid }) {
      const { items } = await engine.measure(uuid);
      return items > 0 ? [{ place: "cache", items }] : [];
    },
  };
}
