import { DATA_MODELS, type DataModel, Fault, type StoreMove, type StorePlaces } from "../../kernel/index.ts";
import type { Homes } from "./homes.ts";
import type { MoveReport } from "./move/move-report.ts";

/** Moving a tenant's rows between the data models, as every store moves its part. */
export function createDataPlaces(homes: Homes): StorePlaces {
  return {
    store: "data",
    places: DATA_MODELS,
    placeOf: async (tenant) => homes.modelOf(tenant),
    move: async (tenant, place, options) => toStoreMove(await homes.move(tenant, modelNamed(place), options)),
    confirm: (tenant) => homes.confirm(tenant),
  };
}

function toStoreMove({ tables, ...report }: MoveReport): StoreMove {
  return { ...report, parts: tables.map(({ table, rows, sum }) => ({ name: table, items: rows, sum })) };
}

function modelNamed(place: string): DataModel {
  const found = DATA_MODELS.find((model) => model === place);
  if (found) return found;
  const detail = `The data model is one of ${DATA_MODELS.join(", ")}.`;
  throw new Fault("invalid_settings", detail, { public: { detail, field: "data" } });
}
