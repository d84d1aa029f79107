import { loadRootKey } from "../cli/index.ts";
import { createKeyring, Fault, type Keyring, systemClock, systemRandom } from "../kernel/index.ts";
import { createDataStore, type DataLocation, type DataStore } from "../stores/data/index.ts";
import { createEventStore } from "../stores/events/index.ts";
import { createStores, type Stores } from "../stores/index.ts";
import { createLexicalEmbedder, createSearchStore } from "../stores/search/index.ts";
import { type Audit, createAudit } from "../tenancy/audit/index.ts";
import { createRegistry, type Registry } from "../tenancy/registry/index.ts";
import { isShared, type ServiceSettings } from "./options.ts";

/** The open rooms of a service. */
export interface House {
  readonly keyring: Keyring;
  readonly data: DataStore;
  readonly audit: Audit;
  readonly registry: Registry;
  readonly stores: Stores;
  /** Whether the database is the gateway's: then so are its tenants and its root key. */
  readonly shared: boolean;
  close(): Promise<void>;
}

/** Opens the data, proves its isolation, and opens the rooms above. What was opened is closed again when one fails. */
export async function openHouse(settings: ServiceSettings, report: (fault: Fault) => void): Promise<House> {
  const { database, profile, embedder } = settings;
  const url = "url" in database ? database.url : undefined;
  const folder = "folder" in database ? database.folder : "";
  const rootKey = await loadRootKey({ profile, data: folder, database: { url } }, settings.rootKey, systemRandom, "rootKey");
  const keyring = createKeyring(rootKey);
  const location: DataLocation =
    "url" in database ? { kind: "postgres", url: database.url, connectionsMax: database.connectionsMax } : { kind: "embedded", folder };
  const data = await createDataStore(location, { keyring, random: systemRandom, report });
  const audit = createAudit({ data, clock: systemClock, random: systemRandom, report });
  try {
    const registry = await createRegistry({
      system: data.system,
      keyring,
      random: systemRandom,
      clock: systemClock,
      checkUrl: refuseAgents,
      report,
    });
    const stores = createStores({
      data,
      search: createSearchStore({ data, embedder: embedder ?? createLexicalEmbedder() }),
      events: createEventStore({ keyring, clock: systemClock, random: systemRandom }),
    });
    const close = async (): Promise<void> => {
      await registry.close();
      await audit.close();
      await data.close();
    };
    return { keyring, data, audit, registry, stores, shared: isShared(database), close };
  } catch (error) {
    await audit.close();
    await data.close();
    throw error;
  }
}

/** Agents are the gateway's business: a service sets none. */
function refuseAgents(): void {
  throw new Fault("egress_denied", "a service sets no agent");
}
