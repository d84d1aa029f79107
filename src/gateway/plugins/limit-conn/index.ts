import type { Plugin } from "../../proxy/plugin.ts";
import { callersVariable, LIMIT_PROPERTIES, limitHazards, withoutKey, policyCondition } from "../shared/limit-settings.ts";
import { SlotLimiter, type Settings } from "./limiter.ts";

const POSITIVE = { oneOf: [{ type: "integer", exclusiveMinimum: 0 }, { type: "string" }] };
const NOT_NEGATIVE = { oneOf: [{ type: "integer", minimum: 0 }, { type: "string" }] };

/** Limits requests under way at the same time. */
export const limitConn: Plugin<Settings> = {
  name: "limit-conn",
  priority: 1003,
  schema: {
    type: "object",
    properties: {
      ...LIMIT_PROPERTIES,
      conn: POSITIVE,
      burst: NOT_NEGATIVE,
      default_conn_delay: { type: "number", exclusiveMinimum: 0 },
      only_use_default_delay: { type: "boolean", default: false },
      key: { type: "string" },
      key_type: { type: "string", enum: ["var", "var_combination"], default: "var" },
      policy: { type: "string", enum: ["redis", "redis-cluster", "local"], default: "local" },
      rules: {
        type: "array",
        items: {
          type: "object",
          properties: { conn: POSITIVE, burst: NOT_NEGATIVE, key: { type: "string" } },
          required: ["conn", "burst", "key"],
        },
      },
    },
    oneOf: [{ required: ["conn", "burst", "default_conn_delay", "key"] }, { required: ["default_conn_delay", "rules"] }],
    ...policyCondition(["redis", "redis-cluster"], { key_ttl: { type: "integer", default: 3600 } }),
  },
  check({ conn, burst, rules = [] }, profile) {
    if (profile === "apisix") return undefined;
    const theirs = callersVariable([conn, burst, ...rules.flatMap((rule) => [rule.conn, rule.burst])]);
    return theirs === undefined ? undefined : `conn and burst cannot be made of ${theirs}, which callers choose themselves`;
  },
  hazards: (settings, profile, place) => limitHazards(settings.rules ? withoutKey(settings) : settings, profile, place),
  create: (settings, owner, ports) => new SlotLimiter(settings, owner, ports),
};
