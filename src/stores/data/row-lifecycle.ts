import { Fault, type StoreLifecycle, type StoreRecord, type StoreTenant } from "../../kernel/index.ts";
import { SHARED_TABLES_SCHEMA } from "./home-builder.ts";
import type { TenantRows, TenantTable } from "./tenant-rows.ts";

/** Which tables of the catalogue a store answers for. */
export interface RowLifecycleSettings {
  readonly name: string;
  /** Whether the table at this place is this store's. */
  readonly owns: (place: string) => boolean;
}

/** A store whose part of a tenant is rows. */
export interface RowLifecycle extends StoreLifecycle, RowLifecycleSettings {
  readonly name: string;
}

/** The platform's own tables and those that an application declares: their names are enough, and the same in every data model. */
const HOUSES = ["freehold.", `${SHARED_TABLES_SCHEMA}.`];
const PUT_ROWS = 200;
const PUT_BYTES = 512 * 1024;

/**
 * The life of a tenant in the tables that a store answers for, as the catalogue has them at that moment and not by a list. A table with
 * bytes in it is erased and measured like the others, and never exported, unless they are an application's sealed columns.
 */
export function createRowLifecycle(rows: TenantRows, { name, owns }: RowLifecycleSettings): RowLifecycle {
  const own = async (): Promise<readonly TenantTable[]> => (await rows.tables()).filter(({ place }) => owns(place));
  const used = async (tenant: StoreTenant): Promise<Awaited<ReturnType<TenantRows["count"]>>> =>
    (await rows.count(tenant)).filter(({ place }) => owns(place));
  return {
    name,
    owns,
    // a row needs nothing made for it
    provision: async () => {},
    async measure(tenant) {
      const found = (await used(tenant)).filter(({ items }) => items > 0);
      return { items: sum(found.map(({ items }) => items)), bytes: sum(found.map(({ bytes }) => bytes)) };
    },
    async *export(tenant) {
      for (const { place, reachable, plain } of await own()) {
        if (!reachable || !plain) continue;
        for await (const value of rows.read(tenant, place)) yield { kind: kindOf(place), value };
      }
    },
    import: async (tenant, records) => await putRecords(rows, await own(), tenant, records),
    async erase(tenant) {
      const tables = (await own()).filter(({ reachable }) => reachable);
      // what refers to others goes first
      await rows.erase(tenant, tables.map(({ place }) => place).toReversed());
    },
    async remains(tenant) {
      return (await used(tenant)).filter(({ items }) => items !== 0).map(({ place, items }) => ({ place, items }));
    },
  };
}

/** The kind of record that a table's rows are. */
function kindOf(place: string): string {
  const house = HOUSES.find((prefix) => place.startsWith(prefix)) ?? "";
  return place.slice(house.length);
}

async function putRecords(
  rows: TenantRows,
  tables: readonly TenantTable[],
  tenant: StoreTenant,
  records: AsyncIterable<StoreRecord>,
): Promise<void> {
  const places = new Map(tables.filter(({ plain }) => plain).map(({ place }) => [kindOf(place), place]));
  let batch: StoreRecord["value"][] = [];
  let bytes = 0;
  let current: string | undefined;
  const put = async (): Promise<void> => {
    if (current !== undefined && batch.length > 0) await rows.put(tenant, current, batch);
    batch = [];
    bytes = 0;
  };
  for await (const { kind, value } of records) {
    const place = places.get(kind);
    if (place === undefined) {
      throw new Fault("invalid_settings", `no table takes a record ${kind}`, {
        public: { detail: "A record is of a kind that is not known here." },
      });
    }
    if (place !== current || batch.length >= PUT_ROWS || bytes >= PUT_BYTES) await put();
    current = place;
    batch.push(value);
    bytes += JSON.stringify(value).length;
  }
  await put();
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, each) => total + each, 0);
}
