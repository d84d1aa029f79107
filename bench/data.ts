import type { Bench } from "./bench.ts";
import { fleetFigures } from "./data-fleet.ts";
import { modelFigures } from "./data-models.ts";
import { moveFigures } from "./data-moves.ts";

/** The three data models: what a statement costs in each, how long moves take, and what many schemas cost one process. */
export const dataBench: Bench = {
  name: "data",
  run: async (options) => [...(await modelFigures(options)), ...(await moveFigures(options)), ...(await fleetFigures(options))],
};
