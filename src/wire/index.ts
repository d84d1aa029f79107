export { createEgress, type Egress, type EgressOptions, type EgressRequest, type EgressResponse } from "./egress.ts";
export type { EgressPolicy } from "./egress-url.ts";
export { FAILURE_CODES } from "./failure-codes.ts";
export { answerInside, type InsideAnswer, type InsideCall } from "./inside.ts";
export { INTERNAL_FIELDS, isForgedInternal } from "./headers.ts";
export { createHeaderList } from "./http1/fields.ts";
export { createUpstreamPool, type UpstreamPoolOptions } from "./http1/upstream-pool.ts";
export type {
  Answer,
  Exchange,
  ExchangeEnd,
  Forward,
  ForwardFailure,
  ForwardTimeouts,
  HeaderEdit,
  HeaderList,
  HttpBounds,
  HttpHandler,
  HttpServer,
  LastPiece,
  MapPlan,
  Origin,
  OriginTls,
  RequestHead,
  ResponseHead,
  ResponsePlan,
  ServerTls,
  Target,
  UpgradeExchange,
  UpstreamPool,
} from "./http.ts";
export { createHttpServer, type HttpServerOptions } from "./http-server.ts";
export type { Lookup, ResolvedAddress } from "./lookup.ts";
export { NameResolver } from "./name-resolver.ts";
export { probe, type ProbeRequest } from "./probe.ts";
export { type ProblemAnswer, titleOf, toProblem } from "./problem.ts";
export { parseTarget } from "./target.ts";
export { createTenantFetch, type Fetch } from "./tenant-fetch.ts";
export { SIGNING_SECRET, signatureFields } from "./webhook-signature.ts";
export { acceptWebSocket, type OwnWebSocket, type WebSocketBounds, type WebSocketConnection } from "./websocket.ts";
export { type ApiCall, callApi, downloadFromApi } from "./api-client.ts";
export { createLiteralClient, type LiteralAnswer, type LiteralClient, type LiteralRequest } from "./literal-client.ts";
export { createOutbound, type Outbound, type OutboundRequest, type OutboundResponse } from "./outbound.ts";
export { type AwsCredentials, awsFields, createAwsClient } from "./aws-client.ts";
