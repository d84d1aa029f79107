import { createKeyring, systemClock, systemRandom } from "../../src/kernel/index.ts";
import type { SystemData } from "../../src/stores/data/index.ts";
import { createLocalRootKeys, createVaultStore, type VaultStore } from "../../src/stores/vault/index.ts";

/** The vault that a program and the test that starts it have in common. */
export async function openVaultOfProgram(system: SystemData): Promise<VaultStore> {
  return await createVaultStore({
    system,
    roots: [createLocalRootKeys([createKeyring(Buffer.alloc(32, 7)).key("vault-root")], systemRandom)],
    clock: systemClock,
    random: systemRandom,
    report: (fault) => {
      throw fault;
    },
  });
}
