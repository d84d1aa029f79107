import type { StoreLifecycle, StorePlaces, TenantContext } from "../kernel/index.ts";
import type { CacheStore, TenantCache } from "./cache/index.ts";
import { createDataPlaces, createSearchPlaces, type DataCapabilities, type DataStore, type TenantData } from "./data/index.ts";
import type { EventStore, TenantEvents } from "./events/index.ts";
import type { FileStore, TenantFiles } from "./files/index.ts";
import type { SearchStore, TenantSearch } from "./search/index.ts";
import type { TenantVault, VaultStore } from "./vault/index.ts";

/** Everything one tenant has, and nothing of anybody else. The only way to a store. */
export interface TenantScope {
  readonly context: TenantContext;
  readonly data: TenantData;
  /** The tenant's rows in the tables that the platform keeps for all tenants together, such as its dead letters. */
  readonly platform: TenantData;
  readonly search: TenantSearch;
  readonly events: TenantEvents;
  readonly vault: TenantVault;
  readonly cache: TenantCache;
  readonly files: TenantFiles;
}

/** The stores of an installation. */
export interface StoreParts {
  readonly data: DataStore;
  readonly search: SearchStore;
  readonly events: EventStore;
  readonly vault: VaultStore;
  readonly cache: CacheStore;
  readonly files: FileStore;
}

/** Opens scopes over the stores of this installation. */
export interface Stores {
  readonly capabilities: DataCapabilities;
  scope(context: TenantContext): TenantScope;
  /** What the stores beside the database do for the life of a tenant; the vault last, so that what it seals can be read until then. */
  readonly lifecycles: readonly StoreLifecycle[];
  /** The stores of which a tenant's part can be moved, in the order in which they are. */
  readonly places: readonly StorePlaces[];
}

/** The scopes over these stores. */
export function createStores(stores: StoreParts): Stores {
  return {
    capabilities: stores.data.capabilities,
    scope: (context) =>
      Object.freeze({
        context,
        data: stores.data.forTenant(context, stores.vault.forTenant(context.tenant)),
        platform: stores.data.forPlatformTables(context),
        search: stores.search.forTenant(context),
        events: stores.events.forTenant(context),
        vault: stores.vault.forTenant(context.tenant),
        cache: stores.cache.forTenant(context),
        files: stores.files.forTenant(context),
      }),
    places: [createDataPlaces(stores.data.homes), createSearchPlaces(stores.data.homes), stores.files.places],
    lifecycles: [stores.cache.lifecycle, stores.files.lifecycle, stores.vault.lifecycle],
  };
}
