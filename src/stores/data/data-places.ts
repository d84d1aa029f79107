import { DATA_MODELS, type DataModel, Fault, STORE_PLACES, type StoreMove, type StorePlace, type StorePlaces } from "../../kernel/index.ts";
import { dataModelOf } from "./home.ts";
import type { Homes } from "./homes.ts";
import type { MoveReport } from "./move/move-report.ts";

/** Moving a tenant's rows between the data models, as every store moves its part. */
export function createDataPlaces(homes: Homes): StorePlaces {
  return {
    store: "data",
    places: DATA_MODELS,
    placeOf: async (tenant) => homes.modelOf(tenant),
    async move(tenant, place, options) {
      const report = await homes.move(tenant, named<DataModel>(DATA_MODELS, place, "data"), options);
      return { ...report, parts: partsOf(report), source: dataModelOf(report.source), target: place };
    },
    confirm: (tenant) => homes.confirm(tenant),
  };
}

/** Moving what a tenant in shared rows searches into a table of its own and back: one table, by the same way. */
export function createSearchPlaces(homes: Homes): StorePlaces {
  return {
    store: "search",
    places: STORE_PLACES,
    placeOf: async (tenant) => homes.searchPlaceOf(tenant),
    async move(tenant, place, options) {
      const target = named<StorePlace>(STORE_PLACES, place, "search");
      const report = await homes.moveSearch(tenant, target, options);
      return { ...report, parts: partsOf(report), source: target === "own" ? "shared" : "own", target };
    },
    // a tenant has one home that it has left, whichever of its stores it was for
    confirm: (tenant) => homes.confirm(tenant),
  };
}

function partsOf({ tables }: MoveReport): StoreMove["parts"] {
  return tables.map(({ table, rows, sum }) => ({ name: table, items: rows, sum }));
}

function named<Place extends string>(places: readonly Place[], place: string, field: string): Place {
  const found = places.find((each) => each === place);
  if (found) return found;
  const detail = `The place of ${field} is one of ${places.join(", ")}.`;
  throw new Fault("invalid_settings", detail, { public: { detail, field } });
}
