import { createKeyring, type Fault, systemClock, systemRandom } from "../../src/kernel/index.ts";
import type { SystemData } from "../../src/stores/data/index.ts";
import { createLocalRootKeys, createVaultStore, type VaultStore, type VaultStoreOptions } from "../../src/stores/vault/index.ts";

/** The root key that vaults of tests are under unless they say otherwise: that of `testPorts`. */
export const ROOT_KEY = createKeyring(Buffer.alloc(32, 7)).key("vault-root");

/** What a test may change about a vault. */
export interface VaultChange extends Partial<Omit<VaultStoreOptions, "system" | "report">> {
  readonly reports?: Fault[];
}

/** A vault over this database, as one process has it. Whoever opens it closes it. */
export async function openVault(system: SystemData, { reports = [], ...change }: VaultChange = {}): Promise<VaultStore> {
  return await createVaultStore({
    system,
    roots: [createLocalRootKeys([ROOT_KEY], systemRandom)],
    clock: systemClock,
    random: systemRandom,
    report: (fault) => void reports.push(fault),
    ...change,
  });
}
