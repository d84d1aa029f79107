import type { TenantContext } from "../kernel/index.ts";
import type { DataCapabilities, DataStore, TenantData } from "./data/index.ts";
import type { EventStore, TenantEvents } from "./events/index.ts";
import type { SearchStore, TenantSearch } from "./search/index.ts";

/** Everything one tenant has, and nothing of anybody else. The only way to a store. */
export interface TenantScope {
  readonly context: TenantContext;
  readonly data: TenantData;
  /** The tenant's rows in the tables that the platform keeps for all tenants together, such as its dead letters. */
  readonly platform: TenantData;
  readonly search: TenantSearch;
  readonly events: TenantEvents;
}

/** Opens scopes over the stores of this installation. */
export interface Stores {
  readonly capabilities: DataCapabilities;
  scope(context: TenantContext): TenantScope;
}

/** The scopes over these stores. */
export function createStores(stores: { data: DataStore; search: SearchStore; events: EventStore }): Stores {
  return {
    capabilities: stores.data.capabilities,
    scope: (context) =>
      Object.freeze({
        context,
        data: stores.data.forTenant(context),
        platform: stores.data.forPlatformTables(context),
        search: stores.search.forTenant(context),
        events: stores.events.forTenant(context),
      }),
  };
}
