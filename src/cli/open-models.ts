import { randomUUID } from "node:crypto";
import { createSchemaCheck } from "../gateway/index.ts";
import { type Keyring, systemClock, systemRandom } from "../kernel/index.ts";
import {
  BudgetBook,
  createModelBook,
  createModelGateway,
  createModelUse,
  Ledger,
  type ModelBook,
  type ModelGateway,
  ModelStore,
  type ModelUse,
} from "../models/index.ts";
import type { DataStore } from "../stores/data/index.ts";
import type { VaultStore } from "../stores/vault/index.ts";
import type { Audit } from "../tenancy/audit/index.ts";
import { createUpstreamPool, type Egress } from "../wire/index.ts";
import type { Closing } from "./closing.ts";
import { createModelMetrics } from "./model-metrics.ts";
import type { Telemetry } from "./telemetry.ts";

/** What models are opened over. */
export interface ModelRooms {
  readonly data: DataStore;
  readonly vault: VaultStore;
  readonly keyring: Keyring;
  readonly egress: Egress;
  readonly audit: Audit;
  readonly telemetry: Telemetry;
}

/** Models and what was used of them. */
export interface OpenModels {
  readonly models: ModelBook;
  readonly modelGateway: ModelGateway;
  readonly modelUse: ModelUse;
}

/** Beyond it, tenants and models are counted as `other`: a label per caller is no place to keep accounts. */
const METRIC_BOUNDS = { tenantsMax: 100, modelsMax: 100 } as const;

/** The settings of models, followed from now on, the gateway over them, and its ledger. */
export async function openModels({ data, vault, keyring, egress, audit, telemetry }: ModelRooms, closing: Closing): Promise<OpenModels> {
  const { report } = telemetry;
  const { system } = data;
  const store = new ModelStore({ system, vault, keyring, random: systemRandom });
  const book = await createModelBook({ store, checkUrl: (url) => egress.check(url), checkSchema: createSchemaCheck, report });
  closing.add(() => book.close());
  const gateway = randomUUID();
  const budgets = new BudgetBook({ system, clock: systemClock, gateway });
  const ledger = new Ledger({ system, clock: systemClock, budgets, gateway, report });
  closing.add(() => ledger.close());
  const pool = createUpstreamPool();
  closing.add(async () => pool.close());
  const measures = createModelMetrics(telemetry.registry, METRIC_BOUNDS);
  const ports = {
    book,
    pool,
    egress,
    keyring,
    compileSchema: createSchemaCheck,
    clock: systemClock,
    random: systemRandom,
    audit,
    ledger,
    budgets,
    measures,
    report,
  };
  const modelGateway = createModelGateway(ports);
  return { models: book, modelGateway, modelUse: createModelUse(system) };
}
