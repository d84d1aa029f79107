import { registry } from "./0001-registry.ts";
import { tenantData } from "./0002-tenant-data.ts";
import { gateway } from "./0003-gateway.ts";
import { vault } from "./0005-vault.ts";
import { lifecycle } from "./0006-lifecycle.ts";
import { subscriptions } from "./0007-subscriptions.ts";
import { files } from "./0008-files.ts";
import { homes } from "./0014-homes.ts";
import { models } from "./0020-models.ts";
import { modelLedger } from "./0021-model-ledger.ts";
import { modelBudgets } from "./0022-model-budgets.ts";
import type { Migration } from "./migration.ts";

/** All steps of the schema, in order. */
export const MIGRATIONS: readonly Migration[] = [
  registry,
  tenantData,
  gateway,
  vault,
  lifecycle,
  subscriptions,
  files,
  homes,
  models,
  modelLedger,
  modelBudgets,
];
