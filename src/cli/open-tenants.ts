import { type Fault, type Keyring, systemClock, systemRandom } from "../kernel/index.ts";
import { createEventStore } from "../stores/events/index.ts";
import { createStores, type Stores, type TenantScope } from "../stores/index.ts";
import { createSearchStore, type Embedder } from "../stores/search/index.ts";
import { type Audit, createAudit } from "../tenancy/audit/index.ts";
import { createRegistry, type Registry, type RegistryPorts } from "../tenancy/registry/index.ts";
import type { Storage } from "./open-storage.ts";

/** What the registry and the scopes of tenants are opened over. */
export interface TenantParts extends Pick<RegistryPorts, "checkUrl" | "notes"> {
  readonly storage: Storage;
  readonly keyring: Keyring;
  readonly embedder: Embedder;
  readonly report: (fault: Fault) => void;
  /** Called for a tenant that searches, now and then, to look for what another embedder has seen. */
  readonly lookForStale?: (scope: TenantScope) => void;
}

/** Who the tenants are, what is written down of them, and their scopes. `onClose` is given what closes each of them, the last one first. */
export async function openTenants(
  { storage, keyring, embedder, report, checkUrl, notes, lookForStale }: TenantParts,
  onClose: (step: () => Promise<void>) => void,
): Promise<{ readonly audit: Audit; readonly registry: Registry; readonly stores: Stores }> {
  const { data, vault } = storage;
  const shared = { keyring, clock: systemClock, random: systemRandom };
  const audit = createAudit({ data, clock: systemClock, random: systemRandom, report });
  onClose(() => audit.close());
  const registry = await createRegistry({ ...shared, system: data.system, vault, checkUrl, report, notes });
  onClose(() => registry.close());
  const search = createSearchStore({
    data,
    embedder,
    ...(lookForStale && { lookForStale: (context) => lookForStale(stores.scope(context)) }),
  });
  const stores = createStores({ ...storage, search, events: createEventStore(shared) });
  return { audit, registry, stores };
}
