import { Closing, loadRootKey, openStorage, openTenants, readVariable } from "../cli/index.ts";
import { createKeyring, Fault, type Keyring, systemRandom } from "../kernel/index.ts";
import type { DataStore } from "../stores/data/index.ts";
import type { Stores } from "../stores/index.ts";
import { createLexicalEmbedder } from "../stores/search/index.ts";
import type { Audit } from "../tenancy/audit/index.ts";
import type { Registry, RevocationNotes } from "../tenancy/registry/index.ts";
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

/** Where a service with PostgreSQL keeps files and what must outlive its database, unless its settings say otherwise. */
const FOLDER = ".freehold";
/** Keys are revoked and tenants suspended at the gateway, which keeps the journal of it. */
const NOTES: RevocationNotes = { keyRevoked: async () => {}, suspended: async () => {}, resumed: async () => {} };

/** Opens the stores, proves the isolation of the data, and opens the rooms above. What was opened is closed again when one fails. */
export async function openHouse(settings: ServiceSettings, report: (fault: Fault) => void): Promise<House> {
  const closing = new Closing();
  try {
    return await open(settings, report, closing);
  } catch (error) {
    await closing.run();
    throw error;
  }
}

async function open(settings: ServiceSettings, report: (fault: Fault) => void, closing: Closing): Promise<House> {
  const { database, profile, embedder, vault: roots, cache, files } = settings;
  const url = "url" in database ? database.url : undefined;
  const folder = "folder" in database ? database.folder : FOLDER;
  const rootKey = await loadRootKey({ profile, data: folder, database: { url } }, settings.rootKey, systemRandom, "rootKey");
  const keyring = createKeyring(rootKey);
  const connectionsMax = "url" in database ? database.connectionsMax : 1;
  const storageSettings = { data: folder, database: { url, connectionsMax }, vault: roots, cache, files };
  const storage = await openStorage({ settings: storageSettings, keyring, readVariable, report }, (step) => closing.add(step));
  const parts = { storage, keyring, embedder: embedder ?? createLexicalEmbedder(), report, checkUrl: refuseAgents, notes: NOTES };
  const { audit, registry, stores } = await openTenants(parts, (step) => closing.add(step));
  return { keyring, data: storage.data, audit, registry, stores, shared: isShared(database), close: () => closing.run() };
}

/** Agents are the gateway's business: a service sets none. */
function refuseAgents(): void {
  throw new Fault("egress_denied", "a service sets no agent");
}
