import type { JsonSchema } from "../../proxy/plugin.ts";
import { HOST, METADATA, METHODS, PRIVATE_KEY, TIMEOUT } from "./shared.ts";

const PORT: JsonSchema = { type: "integer", minimum: 1, maximum: 65_535 };
const count = (fallback: number, minimum = 1): JsonSchema => ({ type: "integer", minimum, maximum: 254, default: fallback });
const statuses = (fallback: readonly number[]): JsonSchema => ({
  type: "array",
  minItems: 1,
  items: { type: "integer", minimum: 200, maximum: 599 },
  uniqueItems: true,
  default: fallback,
});
const object = (properties: Readonly<Record<string, JsonSchema>>): JsonSchema => ({ type: "object", properties });
const CHECK_TYPE: JsonSchema = { type: "string", enum: ["http", "https", "tcp"], default: "http" };

const ACTIVE: JsonSchema = object({
  type: CHECK_TYPE,
  timeout: { type: "number", default: 1 },
  concurrency: { type: "integer", default: 10 },
  host: HOST,
  port: PORT,
  http_path: { type: "string", default: "/" },
  http_method: { type: "string", enum: METHODS, default: "GET" },
  http_req_body: { type: "string", default: "" },
  https_verify_certificate: { type: "boolean", default: true },
  req_headers: { type: "array", minItems: 1, items: { type: "string" } },
  healthy: {
    ...object({ interval: { type: "integer", minimum: 1, default: 1 }, http_statuses: statuses([200, 302]), successes: count(2) }),
    default: { interval: 1, http_statuses: [200, 302], successes: 2 },
  },
  unhealthy: {
    ...object({
      interval: { type: "integer", minimum: 1, default: 1 },
      http_statuses: statuses([429, 404, 500, 501, 502, 503, 504, 505]),
      http_failures: count(5),
      tcp_failures: count(2),
      timeouts: count(3),
    }),
    default: {
      interval: 1,
      http_statuses: [429, 404, 500, 501, 502, 503, 504, 505],
      http_failures: 5,
      tcp_failures: 2,
      timeouts: 3,
    },
  },
});

const PASSIVE_HEALTHY = [200, 201, 202, 203, 204, 205, 206, 207, 208, 226, 300, 301, 302, 303, 304, 305, 306, 307, 308];
const PASSIVE: JsonSchema = object({
  type: CHECK_TYPE,
  healthy: {
    ...object({ http_statuses: statuses(PASSIVE_HEALTHY), successes: count(5, 0) }),
    default: { http_statuses: PASSIVE_HEALTHY, successes: 5 },
  },
  unhealthy: {
    ...object({ http_statuses: statuses([429, 500, 503]), tcp_failures: count(2, 0), timeouts: count(7, 0), http_failures: count(5, 0) }),
    default: { http_statuses: [429, 500, 503], tcp_failures: 2, timeouts: 7, http_failures: 5 },
  },
});

/** Health checks of nodes. */
export const CHECKS: JsonSchema = {
  ...object({ active: ACTIVE, passive: PASSIVE }),
  additionalProperties: false,
  anyOf: [{ required: ["active"] }, { required: ["active", "passive"] }],
};

const NODE_LIST: JsonSchema = {
  type: "array",
  items: {
    type: "object",
    properties: {
      host: HOST,
      port: PORT,
      weight: { type: "integer", minimum: 0 },
      priority: { type: "integer", default: 0 },
      metadata: { type: "object" },
    },
    required: ["host", "weight"],
  },
};

/** Addresses: `"host:port": weight`, or a list of them. */
const NODES: JsonSchema = {
  anyOf: [{ type: "object", patternProperties: { ".*": { type: "integer", minimum: 0 } } }, NODE_LIST],
};

const CERTIFICATE: JsonSchema = { type: "string", minLength: 128, maxLength: 64 * 1024 };

const TLS: JsonSchema = {
  type: "object",
  properties: {
    client_cert_id: METADATA["id"],
    client_cert: CERTIFICATE,
    client_key: PRIVATE_KEY,
    verify: { type: "boolean" },
  },
  dependencies: {
    client_cert: { required: ["client_key"], not: { required: ["client_cert_id"] } },
    client_key: { required: ["client_cert"], not: { required: ["client_cert_id"] } },
    client_cert_id: { not: { anyOf: [{ required: ["client_cert"] }, { required: ["client_key"] }] } },
  },
};

const KEEPALIVE_POOL: JsonSchema = object({
  size: { type: "integer", minimum: 1, default: 320 },
  idle_timeout: { type: "number", minimum: 0, default: 60 },
  requests: { type: "integer", minimum: 1, default: 1_000 },
});

/** Ours. */
const FAIR: JsonSchema = {
  ...object({
    concurrency: { type: "integer", minimum: 1 },
    queue: { type: "integer", minimum: 0, default: 100 },
    deadline_ms: { type: "integer", minimum: 1, default: 1_000 },
  }),
  required: ["concurrency"],
  additionalProperties: false,
};

/** An upstream, as an object of its own or inside a route or service. */
export const UPSTREAM: JsonSchema = {
  type: "object",
  properties: {
    ...METADATA,
    nodes: NODES,
    nodes_by_placement: {
      type: "object",
      properties: { shared: NODE_LIST, dedicated: NODE_LIST, isolated: NODE_LIST },
      additionalProperties: false,
    },
    retries: { type: "integer", minimum: 0 },
    retry_timeout: { type: "number", minimum: 0 },
    timeout: TIMEOUT,
    tls: TLS,
    keepalive_pool: KEEPALIVE_POOL,
    type: { type: "string", default: "roundrobin", enum: ["chash", "roundrobin", "ewma", "least_conn"] },
    checks: CHECKS,
    hash_on: { type: "string", default: "vars", enum: ["vars", "header", "cookie", "consumer", "vars_combinations"] },
    key: { type: "string" },
    scheme: { default: "http", enum: ["grpc", "grpcs", "http", "https", "tcp", "tls", "udp", "kafka"] },
    discovery_type: { type: "string" },
    discovery_args: { type: "object" },
    service_name: { type: "string", minLength: 1, maxLength: 256 },
    pass_host: { type: "string", enum: ["pass", "node", "rewrite"], default: "pass" },
    upstream_host: HOST,
    fair: FAIR,
  },
  oneOf: [{ required: ["nodes"] }, { required: ["service_name", "discovery_type"] }],
  additionalProperties: false,
};
