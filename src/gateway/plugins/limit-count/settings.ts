import type { JsonSchema } from "../../proxy/plugin.ts";
import { LIMIT_PROPERTIES, type LimitSettings, policyCondition } from "../shared/limit-settings.ts";
import type { KeyType } from "../shared/limit-key.ts";

/** Requests per window; texts are templates of whole numbers. */
export interface Rule {
  readonly count: number | string;
  /** Seconds. */
  readonly time_window: number | string;
  readonly key: string;
  readonly header_prefix?: string;
}

/** The settings of limit-count: one limit, or rules. */
export interface Settings extends LimitSettings, Partial<Pick<Rule, "count" | "time_window">> {
  readonly key: string;
  readonly key_type: KeyType;
  readonly window_type: "fixed" | "sliding";
  readonly rules?: readonly Rule[];
  readonly group?: string;
  readonly show_limit_quota_header: boolean;
  readonly sync_interval?: number;
  /** Which rule of a workflow it is part of; set by the plugin workflow. */
  readonly workflow_rule?: number;
}

const AMOUNT: JsonSchema = { oneOf: [{ type: "integer", exclusiveMinimum: 0 }, { type: "string" }] };

/** The schema of {@link Settings}. */
export const SCHEMA: JsonSchema = {
  type: "object",
  properties: {
    ...LIMIT_PROPERTIES,
    count: AMOUNT,
    time_window: AMOUNT,
    window_type: { type: "string", enum: ["fixed", "sliding"], default: "fixed" },
    rules: {
      type: "array",
      items: {
        type: "object",
        properties: { count: AMOUNT, time_window: AMOUNT, key: { type: "string" }, header_prefix: { type: "string" } },
        required: ["count", "time_window", "key"],
      },
    },
    group: { type: "string" },
    key: { type: "string", default: "remote_addr" },
    key_type: { type: "string", enum: ["var", "var_combination", "constant"], default: "var" },
    policy: { type: "string", enum: ["local", "redis", "redis-cluster", "redis-sentinel"], default: "local" },
    show_limit_quota_header: { type: "boolean", default: true },
    sync_interval: { type: "number", default: -1 },
  },
  // both together are told apart from neither by the plugin's own check, which has words for it
  oneOf: [{ required: ["count", "time_window"] }, { required: ["rules"], not: { required: ["count", "time_window"] } }],
  ...policyCondition(["redis", "redis-cluster", "redis-sentinel"]),
};

/** Names of the answer's fields. */
export interface FieldNames {
  readonly limit_header: string;
  readonly remaining_header: string;
  readonly reset_header: string;
}

/** The schema of the plugin's metadata. */
export const METADATA: JsonSchema = {
  type: "object",
  properties: {
    limit_header: { type: "string", default: "X-RateLimit-Limit" },
    remaining_header: { type: "string", default: "X-RateLimit-Remaining" },
    reset_header: { type: "string", default: "X-RateLimit-Reset" },
  },
};

/** RFC 9110, 5.6.2. */
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;

/** The names as the metadata has them, with the rule's prefix put in. What cannot be the name of a field has the standard one. */
export function fieldNames(metadata: Readonly<Record<string, unknown>> | undefined, prefix: string | undefined): FieldNames {
  const name = (key: string, standard: string): string => {
    const own = metadata?.[key];
    const base = typeof own === "string" ? own : standard;
    const whole = prefix === undefined ? base : base.replace("RateLimit-", `${prefix}-RateLimit-`);
    return TOKEN.test(whole) ? whole : standard;
  };
  return {
    limit_header: name("limit_header", "X-RateLimit-Limit"),
    remaining_header: name("remaining_header", "X-RateLimit-Remaining"),
    reset_header: name("reset_header", "X-RateLimit-Reset"),
  };
}
