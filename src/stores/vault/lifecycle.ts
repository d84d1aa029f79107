import { Fault, type StoreLifecycle, type StoreTenant } from "../../kernel/index.ts";
import type { KeyTable } from "./key-table.ts";

/** What the life cycle of the vault works with. */
export interface VaultLifecycleParts {
  readonly table: KeyTable;
  /** Makes the tenant's first keys. */
  readonly prepare: (tenant: StoreTenant) => Promise<void>;
  readonly destroy: (tenant: StoreTenant) => Promise<void>;
  readonly inMemory: (tenant: StoreTenant) => number;
}

/** Keys are made before a tenant is served, never leave, and are destroyed for good. */
export function vaultLifecycle({ table, prepare, destroy, inMemory }: VaultLifecycleParts): StoreLifecycle {
  return {
    name: "vault",
    provision: prepare,
    measure: ({ uuid }) => table.count(uuid),
    async *export() {
      // keys are no part of an export: what they sealed is read out by the store that has it
    },
    async import(_tenant, records) {
      for await (const { kind } of records) {
        throw new Fault("invalid_settings", `a record ${kind} for the vault`, { public: { detail: "Keys cannot be imported." } });
      }
    },
    erase: destroy,
    async remains(tenant) {
      const { items } = await table.count(tenant.uuid);
      const places = [
        { place: "freehold.vault_keys", items },
        { place: "keys in memory", items: inMemory(tenant) },
      ];
      return places.filter((each) => each.items > 0);
    },
  };
}
