export { indexDocuments } from "./consumers/index-documents.ts";
export { indexUsers } from "./consumers/index-users.ts";
export { askForReindex } from "./reindex.ts";
export { recount } from "./counters.ts";
export { createRouteTable, type GatewayParts, type RouteTable } from "./operations/index.ts";
export type { HealthReport, Services } from "./services.ts";
