export { checkInput } from "./input.ts";
export {
  json,
  type Method,
  NO_CONTENT,
  type Operation,
  platformOperation,
  publicOperation,
  rawPlatformOperation,
  rawTenantOperation,
  rawPublicOperation,
  type SocketCall,
  streamingTenantOperation,
  type TenantCall,
  tenantOperation,
  tenantSocket,
} from "./operation.ts";
export { createLiveRequests, type LiveRequests } from "./live-requests.ts";
export { createPipeline, type Pipeline, type PipelinePorts, type RequestRecord } from "./pipeline.ts";
export { createDataPlane } from "./proxy/data-plane.ts";
export type {
  AccessRecord,
  DataPlane,
  DataPlanePorts,
  ExplainedPlugin,
  ExplainRequest,
  Explanation,
  UpstreamHealth,
} from "./proxy/ports.ts";
export { PLUGINS } from "./plugins/index.ts";
export {
  checkGatewayDocument,
  createGatewayConfig,
  createSchemaCheck,
  DOCUMENT_BYTES_MAX,
  exportDocument,
  findTenantGaps,
  type GatewayConfig,
  type GatewayConfigPorts,
  type GatewayDocument,
  isKind,
  type ObjectKind,
  readGatewayText,
  splitDocument,
  type TextFormat,
  writeExport,
} from "./dialect/index.ts";
export { createCallMetrics } from "./plugins/prometheus/call-metrics.ts";
export { createDurations, createLabel, createTallies, type Durations, type Tally } from "./proxy/tally.ts";
