import type { BucketDecision } from "../../../tenancy/limits/index.ts";
import type { Call, Plugin, PluginInstance, PluginOwner, PluginPorts, Verdict } from "../../proxy/plugin.ts";
import { compileKeyValue, CounterKeys, valueOfNobody } from "../shared/limit-key.ts";
import { refuseOverLimit } from "../shared/limit-refusal.ts";
import { LIMIT_PROPERTIES, limitHazards, type LimitSettings, policyCondition, scopeOf } from "../shared/limit-settings.ts";

interface Settings extends LimitSettings {
  /** Requests per second. */
  readonly rate: number;
  /** Requests over the rate that are delayed instead of refused. */
  readonly burst: number;
  readonly key: string;
  readonly key_type: "var" | "var_combination";
  /** Requests within the burst are not delayed. */
  readonly nodelay: boolean;
}

const NAME = "limit-req";
/** A shorter delay is none. */
const DELAY_MIN_MS = 1;

/** Smooths requests to a rate: a leaky bucket. */
export const limitReq: Plugin<Settings> = {
  name: NAME,
  priority: 1001,
  schema: {
    type: "object",
    properties: {
      ...LIMIT_PROPERTIES,
      rate: { type: "number", exclusiveMinimum: 0 },
      burst: { type: "number", minimum: 0 },
      key: { type: "string" },
      key_type: { type: "string", enum: ["var", "var_combination"], default: "var" },
      policy: { type: "string", enum: ["redis", "redis-cluster", "local"], default: "local" },
      nodelay: { type: "boolean", default: false },
    },
    required: ["rate", "burst", "key"],
    ...policyCondition(["redis", "redis-cluster"]),
  },
  hazards: limitHazards,
  create,
};

function create(settings: Settings, owner: PluginOwner, ports: PluginPorts): PluginInstance {
  const { rate, burst, key, key_type: type, nodelay, per_tenant: perTenant } = settings;
  const value = compileKeyValue(key, type, owner.profile);
  const identity = owner.profile === "strict" ? [key, type] : settings;
  const keys = new CounterKeys(owner, NAME, { identity, perTenant });
  const scope = scopeOf(settings, ports.limits);
  const limit = { perSecond: rate, burst, scope };
  const decide = (call: Call, decision: BucketDecision): Verdict | Promise<Verdict> => {
    if (!decision.allow) {
      return refuseOverLimit(call, settings, { code: "rate_limited", policy: NAME, retryAfterMs: Math.max(decision.delayMs, 1000 / rate) });
    }
    if (nodelay || decision.delayMs < DELAY_MIN_MS) return undefined;
    return ports.delay(decision.delayMs, call).then(() => undefined);
  };
  return {
    access(call) {
      const counted = keys.of(call, value(call) ?? valueOfNobody(key, call));
      const decision = scope === "shared" ? ports.limits.exact.bucket(counted, limit) : ports.limits.bucket(counted, limit);
      return decision instanceof Promise ? decision.then((settled) => decide(call, settled)) : decide(call, decision);
    },
  };
}
