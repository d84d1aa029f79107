export { createEgress, type Egress, type EgressOptions, type EgressRequest, type EgressResponse } from "./egress.ts";
export type { EgressPolicy } from "./egress-url.ts";
export { createHeaderList, isForgedInternal } from "./headers.ts";
export type {
  Answer,
  Exchange,
  ExchangeEnd,
  Forward,
  ForwardFailure,
  ForwardTimeouts,
  HeaderEdit,
  HeaderList,
  HttpHandler,
  HttpServer,
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
export { createHttpServer, type HttpBounds, type HttpServerOptions } from "./http-server.ts";
export type { Lookup, ResolvedAddress } from "./lookup.ts";
export { probe, type ProbeRequest } from "./probe.ts";
export { parseTarget } from "./target.ts";
export { acceptWebSocket, type WebSocketBounds, type WebSocketConnection } from "./websocket.ts";
export { type ApiCall, callApi } from "./api-client.ts";
export { createOutbound, type Outbound } from "./outbound.ts";
