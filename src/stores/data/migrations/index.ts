import { registry } from "./0001-registry.ts";
import { tenantData } from "./0002-tenant-data.ts";
import { gateway } from "./0003-gateway.ts";
import { vault } from "./0005-vault.ts";
import { lifecycle } from "./0006-lifecycle.ts";
import { subscriptions } from "./0007-subscriptions.ts";
import { files } from "./0008-files.ts";
import { homes } from "./0014-homes.ts";
import { gatewayProcesses } from "./0015-gateway-processes.ts";
import { filePlaces } from "./0017-file-places.ts";
import { ownSearch } from "./0018-own-search.ts";
import { models } from "./0020-models.ts";
import { modelLedger } from "./0021-model-ledger.ts";
import { modelBudgets } from "./0022-model-budgets.ts";
import { channels } from "./0024-channels.ts";
import { sessions } from "./0025-sessions.ts";
import { channelRequests } from "./0026-channel-requests.ts";
import { channelLeases } from "./0031-channel-leases.ts";
import { sealedExports } from "./0034-sealed-exports.ts";
import { gatewayPresence } from "./0035-gateway-presence.ts";
import { channelShards } from "./0036-channel-shards.ts";
import { modelLedgerDays } from "./0037-model-ledger-days.ts";
import { channelChanges } from "./0038-channel-changes.ts";
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
  gatewayProcesses,
  filePlaces,
  ownSearch,
  models,
  modelLedger,
  modelBudgets,
  channels,
  sessions,
  channelRequests,
  channelLeases,
  sealedExports,
  gatewayPresence,
  channelShards,
  modelLedgerDays,
  channelChanges,
];
