import type { StoreLifecycle, StoreRecord, StoreTenant } from "../../kernel/index.ts";
import type { HomeLifecycle } from "./home-lifecycle.ts";
import type { Homes } from "./homes.ts";
import { createRowLifecycle, type RowLifecycle } from "./row-lifecycle.ts";
import { openRecords, sealRecords } from "./sealed/sealed-records.ts";
import type { ColumnVault } from "./sealed/sealed-tables.ts";
import type { TenantRows } from "./tenant-rows.ts";

/** The two halves of the life of a tenant's data. */
export interface TenantLifecycleParts {
  readonly homes: Homes;
  /** The life of the home, whatever model it is of. */
  readonly home: HomeLifecycle;
  /** One tenant's rows in all tables of the installation's own database. */
  readonly rows: TenantRows;
  /** Whether another store answers for the table at this place. */
  readonly isOthers: (place: string) => boolean;
  /** What opens and seals the marked columns of the tenant's tables. */
  readonly vaultOf: (tenant: StoreTenant) => ColumnVault;
}

/** Where homes are and what is on its way between them: erased with the tenant, and nothing that it could take along. */
const BOOKKEEPING: ReadonlySet<string> = new Set([
  "freehold.homes",
  "freehold.moves",
  "freehold.carried_events",
  "freehold_private.fences",
  "freehold_private.move_log",
]);
/** Tables of a home for which another store answers: it exports them in its own way. */
const OTHERS_IN_HOMES: ReadonlySet<string> = new Set(["points", "counters"]);

/**
 * The life of a tenant's data in every model: rows among those of all tenants by the catalogue of the installation's database, whoever
 * made the table, and homes of its own as what they are. An archive of one model can be put back in another. Sealed columns leave opened and
 * are sealed again where they are put, under the keys that the tenant has there.
 */
export function createTenantLifecycle({ homes, home, rows, isOthers, vaultOf }: TenantLifecycleParts): RowLifecycle {
  const owns = (place: string): boolean => !isOthers(place);
  const all = createRowLifecycle(rows, { name: "data", owns });
  const shared = createRowLifecycle(rows, { name: "data", owns: (place) => owns(place) && !BOOKKEEPING.has(place) });
  const hasOwnHome = async (tenant: StoreTenant): Promise<boolean> => {
    await homes.refresh();
    return homes.modelOf(tenant) !== "row";
  };
  return {
    name: "data",
    owns,
    provision: (tenant) => home.provision(tenant),
    measure: async (tenant) => await ((await hasOwnHome(tenant)) ? home : shared).measure(tenant),
    async *export(tenant) {
      const records = (await hasOwnHome(tenant)) ? exportHome(home, tenant) : shared.export(tenant);
      yield* openRecords(records, await home.sealed(tenant), vaultOf(tenant));
    },
    async import(tenant, records) {
      const sealed = sealRecords(records, await home.sealed(tenant), vaultOf(tenant));
      await ((await hasOwnHome(tenant)) ? home : shared).import(tenant, sealed);
    },
    async erase(tenant) {
      await home.erase(tenant);
      await all.erase(tenant); // with no home of its own left, whatever is there is among the rows of others
    },
    remains: async (tenant) => [...(await home.remains(tenant)), ...(await all.remains(tenant))],
  };
}

async function* exportHome(home: Pick<StoreLifecycle, "export">, tenant: StoreTenant): AsyncGenerator<StoreRecord, void> {
  for await (const record of home.export(tenant)) if (!OTHERS_IN_HOMES.has(record.kind)) yield record;
}
