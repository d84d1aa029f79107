import { Fault, type StorePlace } from "../../kernel/index.ts";
import type { FileEngine } from "./port.ts";

/** The engines of an installation by the place that they are. */
export interface FileEngines {
  /** Throws `invalid_settings` where there is no such place. */
  at(place: StorePlace): FileEngine;
  readonly all: readonly FileEngine[];
}

/** One engine for all tenants, and where there is one, another that keeps each tenant in a place of its own. */
export function createFileEngines(shared: FileEngine, own: FileEngine | undefined): FileEngines {
  return {
    at(place) {
      if (place === "shared") return shared;
      if (own) return own;
      const detail = "There is no place for files of one tenant alone: say in the settings with `files.own` where it is.";
      throw new Fault("invalid_settings", detail, { public: { detail, field: "files" } });
    },
    all: own ? [shared, own] : [shared],
  };
}
