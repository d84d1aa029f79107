import type { JsonSchema } from "../../proxy/plugin.ts";
import { CHECKS } from "../../dialect/schemas/upstream.ts";

/** The providers that the dialect knows. */
const PROVIDERS = [
  "openai",
  "deepseek",
  "aimlapi",
  "anthropic",
  "openai-compatible",
  "azure-openai",
  "openrouter",
  "gemini",
  "vertex-ai",
  "bedrock",
] as const;
export type ProviderName = (typeof PROVIDERS)[number];

/** One provider with what goes to it. */
export interface InstanceSettings {
  readonly name: string;
  readonly provider: ProviderName;
  readonly weight: number;
  readonly priority: number;
  readonly auth: {
    readonly header?: Readonly<Record<string, string>>;
    readonly query?: Readonly<Record<string, string>>;
    readonly gcp?: unknown;
    readonly aws?: unknown;
  };
  /** Members of the body that replace the caller's. */
  readonly options?: Readonly<Record<string, unknown>>;
  readonly override?: {
    readonly endpoint?: string;
    readonly llm_options?: { readonly max_tokens?: number };
    readonly request_body?: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
    readonly request_body_force_override?: boolean;
  };
  readonly checks?: { readonly active: unknown };
}

/** What both plugins have. */
export interface SharedSettings {
  readonly timeout: number;
  readonly keepalive: boolean;
  readonly keepalive_timeout: number;
  readonly keepalive_pool: number;
  readonly ssl_verify: boolean;
  readonly max_req_body_size: number;
}

/** The settings of ai-proxy: one provider. */
export type ProxySettings = SharedSettings & Omit<InstanceSettings, "name" | "weight" | "priority" | "checks">;

/** The settings of ai-proxy-multi. */
export interface MultiSettings extends SharedSettings {
  readonly instances: readonly InstanceSettings[];
  readonly balancer: { readonly algorithm: "roundrobin" | "chash" | "semantic"; readonly hash_on?: string; readonly key?: string };
  readonly fallback_strategy?: string | readonly string[];
  readonly fallback_http_statuses?: readonly number[];
  readonly max_retries?: number;
  readonly retry_on_failure_within_ms?: number;
}

const texts: JsonSchema = { type: "object", additionalProperties: { type: "string" } };
const AUTH: JsonSchema = {
  type: "object",
  properties: { header: texts, query: texts, gcp: { type: "object" }, aws: { type: "object" } },
  additionalProperties: false,
};
const OPTIONS: JsonSchema = { type: "object", properties: { model: { type: "string" } }, additionalProperties: true };
const OVERRIDE: JsonSchema = {
  type: "object",
  properties: {
    endpoint: { type: "string" },
    llm_options: { type: "object", properties: { max_tokens: { type: "integer", minimum: 1 } } },
    request_body: { type: "object", additionalProperties: { type: "object" } },
    request_body_force_override: { type: "boolean", default: false },
  },
};
const PROVIDER: JsonSchema = { type: "string", enum: PROVIDERS };
const SHARED: Readonly<Record<string, JsonSchema>> = {
  timeout: { type: "integer", minimum: 1, default: 30_000 },
  keepalive: { type: "boolean", default: true },
  keepalive_timeout: { type: "integer", minimum: 1000, default: 60_000 },
  keepalive_pool: { type: "integer", minimum: 1, default: 30 },
  ssl_verify: { type: "boolean", default: true },
  max_req_body_size: { type: "integer", minimum: 1, default: 67_108_864 },
  max_response_bytes: { type: "integer", minimum: 1 },
  max_stream_duration_ms: { type: "integer", minimum: 1 },
  streaming_flush_interval_ms: { type: "integer", minimum: 0, default: 10 },
  logging: {
    type: "object",
    properties: { summaries: { type: "boolean", default: false }, payloads: { type: "boolean", default: false } },
  },
};

/** The schema of {@link ProxySettings}. */
export const PROXY_SCHEMA: JsonSchema = {
  type: "object",
  properties: { provider: PROVIDER, auth: AUTH, options: OPTIONS, override: OVERRIDE, ...SHARED },
  required: ["provider", "auth"],
};

/** The schema of {@link MultiSettings}. */
export const MULTI_SCHEMA: JsonSchema = {
  type: "object",
  properties: {
    balancer: {
      type: "object",
      properties: {
        algorithm: { type: "string", enum: ["chash", "roundrobin", "semantic"] },
        hash_on: { type: "string", default: "vars", enum: ["vars", "header", "cookie", "consumer", "vars_combinations"] },
        key: { type: "string" },
      },
      default: { algorithm: "roundrobin" },
    },
    instances: {
      type: "array",
      minItems: 1,
      items: {
        type: "object",
        properties: {
          name: { type: "string", minLength: 1, maxLength: 100 },
          provider: PROVIDER,
          priority: { type: "integer", default: 0 },
          weight: { type: "integer", minimum: 0 },
          auth: AUTH,
          options: OPTIONS,
          override: OVERRIDE,
          checks: CHECKS,
        },
        required: ["name", "provider", "auth", "weight"],
      },
    },
    fallback_strategy: {
      anyOf: [
        { type: "string", enum: ["instance_health_and_rate_limiting", "http_429", "http_5xx"] },
        { type: "array", items: { type: "string", enum: ["rate_limiting", "http_429", "http_5xx"] } },
      ],
    },
    fallback_http_statuses: { type: "array", items: { type: "integer", minimum: 400, maximum: 599 } },
    max_retries: { type: "integer", minimum: 0 },
    retry_on_failure_within_ms: { type: "integer", minimum: 1 },
    ...SHARED,
  },
  required: ["instances"],
};
