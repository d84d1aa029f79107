import type { DataPlane, GatewayConfig, Operation } from "../../gateway/index.ts";
import type { Services } from "../services.ts";
import { ownAudit, platformAudit } from "./audit/read.ts";
import { channelsOfTenant } from "./channels/of-tenant.ts";
import { ownChannels } from "./channels/own.ts";
import { receiveDeliveries } from "./channels/receive.ts";
import { slackInstallation } from "./channels/slack-install.ts";
import { widgetOperations } from "./channels/widget.ts";
import { sendMessage } from "./chat/send.ts";
import { chatSocket } from "./chat/socket.ts";
import { ownDeadLetters } from "./dead-letters/own.ts";
import { listDocuments } from "./documents/list.ts";
import { putDocument } from "./documents/put.ts";
import { removeDocument } from "./documents/remove.ts";
import { showDocument } from "./documents/show.ts";
import { uploadDocument } from "./documents/upload.ts";
import { fileContent } from "./files/content.ts";
import { listFiles } from "./files/list.ts";
import { gatewayConfigs } from "./gateway/configs.ts";
import { explainRoute } from "./gateway/explain.ts";
import { gatewayObjects } from "./gateway/objects.ts";
import { healthOperations } from "./health/own.ts";
import { keysOfPlatform } from "./keys/of-platform.ts";
import { keysOfTenant } from "./keys/of-tenant.ts";
import { ownKeys } from "./keys/own.ts";
import { inference } from "./models/inference.ts";
import { modelsOfPlatform } from "./models/of-platform.ts";
import { ownModels } from "./models/own.ts";
import { modelUsage } from "./models/usage.ts";
import { listPlans } from "./plans/list.ts";
import { putPlan } from "./plans/put.ts";
import { search } from "./search/run.ts";
import { exportSession } from "./sessions/export.ts";
import { ownLinks } from "./sessions/links.ts";
import { listAll } from "./sessions/list.ts";
import { removeAll } from "./sessions/remove-all.ts";
import { removeOne } from "./sessions/remove.ts";
import { showSession } from "./sessions/show.ts";
import { ownTenant } from "./tenant/own.ts";
import { createTenant } from "./tenants/create.ts";
import { eraseTenant, showCertificate } from "./tenants/erase.ts";
import { exportOwn, exportTenant } from "./tenants/export.ts";
import { importTenant, uploadArchive } from "./tenants/import.ts";
import { issueToken } from "./tenants/issue-token.ts";
import { listTenants } from "./tenants/list.ts";
import { confirmMove, moveTenant } from "./tenants/move.ts";
import { resumeTenant, suspendTenant } from "./tenants/set-status.ts";
import { showTenant } from "./tenants/show.ts";
import { updateTenant } from "./tenants/update.ts";
import { createUser } from "./users/create.ts";
import { listUsers } from "./users/list.ts";
import { removeUser } from "./users/remove.ts";
import { showUser } from "./users/show.ts";
import { updateUser } from "./users/update.ts";
import { vaultOperations } from "./vault/of-platform.ts";
import { apiDocument } from "./well-known/api-document.ts";
import { keySet } from "./well-known/key-set.ts";

/** The route table: every call the platform answers by itself, per listening port. */
export interface RouteTable {
  /** What callers reach. */
  readonly main: readonly Operation[];
  /** What operators and their machines reach on the loopback port. */
  readonly admin: readonly Operation[];
}

/** What the operations on the gateway work with. */
export interface GatewayParts {
  readonly config: GatewayConfig;
  readonly dataPlane: Pick<DataPlane, "explain">;
}

/** All operations; those on the gateway are on the loopback port only, and there is none of them without it. */
export function createRouteTable(services: Services, gateway?: GatewayParts): RouteTable {
  const [ownUsage, usageOfTenants] = partition(modelUsage(services), ({ access }) => access.realm === "tenant");
  const tenant = [
    sendMessage(services),
    chatSocket(services),
    listAll(),
    showSession(),
    removeOne(),
    removeAll(),
    exportSession(),
    ...ownLinks(services),
    listUsers(),
    createUser(services),
    showUser(),
    updateUser(),
    removeUser(),
    putDocument(services),
    uploadDocument(),
    listDocuments(),
    showDocument(),
    removeDocument(),
    listFiles(),
    ...fileContent(),
    search(services),
    ...ownTenant(services),
    exportOwn(services),
    ...ownKeys(services),
    ...ownChannels(services),
    ...slackInstallation(services),
    ...inference(services),
    ...ownModels(services),
    ...ownUsage,
    ...ownDeadLetters(services),
    ownAudit(services),
  ];
  const platform = [
    listTenants(services),
    createTenant(services),
    showTenant(services),
    updateTenant(services),
    suspendTenant(services),
    resumeTenant(services),
    exportTenant(services),
    uploadArchive(services),
    importTenant(services),
    eraseTenant(services),
    showCertificate(services),
    moveTenant(services),
    confirmMove(services),
    issueToken(services),
    ...keysOfTenant(services),
    ...channelsOfTenant(services),
    ...keysOfPlatform(services),
    ...vaultOperations(services),
    ...modelsOfPlatform(services),
    ...usageOfTenants,
    listPlans(services),
    putPlan(services),
    platformAudit(services),
  ];
  const ofGateway = gateway
    ? [...gatewayConfigs(services, gateway.config), ...gatewayObjects(services, gateway.config), explainRoute(gateway.dataPlane)]
    : [];
  const main = [...tenant, ...platform, ...receiveDeliveries(services), ...widgetOperations(services), keySet(services)];
  return {
    main: [...main, apiDocument(main, services.version)],
    admin: [...healthOperations(services), ...platform, ...ofGateway],
  };
}

function partition<T>(all: readonly T[], isFirst: (each: T) => boolean): readonly [readonly T[], readonly T[]] {
  return [all.filter(isFirst), all.filter((each) => !isFirst(each))];
}
