import type { Bench } from "./bench.ts";
import { bootBench } from "./boot.ts";
import { dataBench } from "./data.ts";
import { eventsBench } from "./events.ts";
import { fairnessBench } from "./fairness.ts";
import { gatewayBench } from "./gateway.ts";
import { limitsBench } from "./limits.ts";
import { modelsBench } from "./models.ts";
import { operationsBench } from "./operations.ts";
import { registryBench } from "./registry.ts";
import { reloadBench } from "./reload.ts";
import { scopingBench } from "./scoping.ts";
import { searchBench } from "./search.ts";

/** All there are, in the order in which they run. */
export const BENCHES: readonly Bench[] = [
  scopingBench,
  dataBench,
  registryBench,
  gatewayBench,
  modelsBench,
  reloadBench,
  operationsBench,
  searchBench,
  eventsBench,
  bootBench,
  limitsBench,
  fairnessBench,
];
