export { checkInput } from "./input.ts";
export {
  json,
  type Method,
  NO_CONTENT,
  type Operation,
  platformOperation,
  publicOperation,
  tenantOperation,
  tenantSocket,
} from "./operation.ts";
export { createPipeline, type Pipeline, type PipelinePorts, type RequestRecord } from "./pipeline.ts";
