import type { JsonSchema } from "../../proxy/plugin.ts";
import { LIMIT_PROPERTIES, type LimitSettings, policyCondition } from "../shared/limit-settings.ts";

/** Tokens in a window; texts are templates of whole numbers. */
export interface TokenLimit {
  readonly limit: number | string;
  /** Seconds. */
  readonly time_window: number | string;
}

/** The settings of ai-rate-limiting: one limit, one for each instance, or rules. */
export interface Settings extends LimitSettings, Partial<TokenLimit> {
  readonly instances?: readonly (TokenLimit & { readonly name: string })[];
  readonly rules?: readonly {
    readonly count: number | string;
    readonly time_window: number | string;
    readonly key: string;
    readonly header_prefix?: string;
  }[];
  readonly limit_strategy: "total_tokens" | "prompt_tokens" | "completion_tokens" | "expression";
  readonly cost_expr?: string;
  readonly show_limit_quota_header: boolean;
}

const AMOUNT: JsonSchema = { oneOf: [{ type: "integer", exclusiveMinimum: 0 }, { type: "string" }] };

/** The schema of {@link Settings}. */
export const SCHEMA: JsonSchema = {
  type: "object",
  properties: {
    ...LIMIT_PROPERTIES,
    limit: AMOUNT,
    time_window: AMOUNT,
    show_limit_quota_header: { type: "boolean", default: true },
    limit_strategy: {
      type: "string",
      enum: ["total_tokens", "prompt_tokens", "completion_tokens", "expression"],
      default: "total_tokens",
    },
    cost_expr: { type: "string", minLength: 1 },
    instances: {
      type: "array",
      minItems: 1,
      items: {
        type: "object",
        properties: { name: { type: "string" }, limit: AMOUNT, time_window: AMOUNT },
        required: ["name", "limit", "time_window"],
      },
    },
    rules: {
      type: "array",
      minItems: 1,
      items: {
        type: "object",
        properties: { count: AMOUNT, time_window: AMOUNT, key: { type: "string" }, header_prefix: { type: "string" } },
        required: ["count", "time_window", "key"],
      },
    },
    policy: { type: "string", enum: ["local", "redis", "redis-cluster", "redis-sentinel"], default: "local" },
  },
  dependencies: { limit: ["time_window"], time_window: ["limit"] },
  anyOf: [{ required: ["limit", "time_window"] }, { required: ["instances"] }, { required: ["rules"] }],
  ...policyCondition(["redis", "redis-cluster", "redis-sentinel"]),
};
