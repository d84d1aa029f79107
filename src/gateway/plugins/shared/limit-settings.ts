import type { Limits, LimitScope } from "../../../tenancy/limits/index.ts";
import type { JsonSchema, Profile } from "../../proxy/plugin.ts";
import { compileTemplate } from "../../routing/template.ts";

/** Settings that all limits have. */
export interface LimitSettings {
  /** By default 429 in strict and 503 in the apisix profile. */
  readonly rejected_code?: number;
  readonly rejected_msg?: string;
  readonly policy: "local" | "redis" | "redis-cluster" | "redis-sentinel";
  readonly allow_degradation: boolean;
  /** Ours: whether each tenant has a counter of its own. By default true in strict. */
  readonly per_tenant?: boolean;
}

/** Schema of the settings that all limits have. */
export const LIMIT_PROPERTIES: Readonly<Record<string, JsonSchema>> = {
  rejected_code: { type: "integer", minimum: 200, maximum: 599 },
  rejected_msg: { type: "string", minLength: 1 },
  allow_degradation: { type: "boolean", default: false },
  per_tenant: { type: "boolean" },
};

const REDIS = {
  redis_timeout: { type: "integer", minimum: 1, default: 1000 },
  redis_password: { type: "string", minLength: 0 },
  redis_keepalive_timeout: { type: "integer", minimum: 1000, default: 10_000 },
  redis_keepalive_pool: { type: "integer", minimum: 1, default: 100 },
} as const;

const SINGLE: JsonSchema = {
  properties: {
    ...REDIS,
    redis_host: { type: "string", minLength: 2 },
    redis_port: { type: "integer", minimum: 1, default: 6379 },
    redis_username: { type: "string", minLength: 1 },
    redis_database: { type: "integer", minimum: 0, default: 0 },
    redis_ssl: { type: "boolean", default: false },
    redis_ssl_verify: { type: "boolean", default: false },
  },
  required: ["redis_host"],
};

const CLUSTER: JsonSchema = {
  properties: {
    ...REDIS,
    redis_cluster_nodes: { type: "array", minItems: 1, items: { type: "string", minLength: 2, maxLength: 100 } },
    redis_cluster_name: { type: "string" },
    redis_cluster_ssl: { type: "boolean", default: false },
    redis_cluster_ssl_verify: { type: "boolean", default: false },
  },
  required: ["redis_cluster_nodes", "redis_cluster_name"],
};

const SENTINEL: JsonSchema = {
  properties: {
    redis_sentinels: {
      type: "array",
      minItems: 1,
      items: {
        type: "object",
        properties: { host: { type: "string", minLength: 2 }, port: { type: "integer", minimum: 1, maximum: 65_535 } },
        required: ["host", "port"],
        additionalProperties: false,
      },
    },
    redis_master_name: { type: "string", minLength: 1 },
    redis_role: { type: "string", enum: ["master", "slave"], default: "master" },
    redis_connect_timeout: { type: "integer", minimum: 1, default: 1000 },
    redis_read_timeout: { type: "integer", minimum: 1, default: 1000 },
    redis_keepalive_timeout: { type: "integer", minimum: 1, default: 60_000 },
    redis_database: { type: "integer", minimum: 0, default: 0 },
  },
  required: ["redis_sentinels", "redis_master_name"],
};

/**
 * What the dialect asks for with each policy. The addresses are checked as they are there, and not used: gateways share their counters
 * through the one ledger of the installation. `more` joins the properties of Redis.
 */
export function policyCondition(policies: readonly LimitSettings["policy"][], more: Readonly<Record<string, JsonSchema>> = {}): JsonSchema {
  const shapes: readonly (readonly [string, JsonSchema])[] = [
    ["redis", withMore(SINGLE, more)],
    ["redis-cluster", withMore(CLUSTER, more)],
    ["redis-sentinel", withMore(SENTINEL, more)],
  ];
  return shapes
    .filter(([policy]) => policies.some((each) => each === policy))
    .reduceRight<JsonSchema>(
      // oxlint-disable-next-line unicorn/no-thenable -- a keyword of JSON Schema
      (otherwise, [policy, then]) => ({ if: { properties: { policy: { enum: [policy] } } }, then, else: otherwise }),
      {},
    );
}

function withMore(schema: JsonSchema, more: Readonly<Record<string, JsonSchema>>): JsonSchema {
  return { ...schema, properties: { ...(schema["properties"] as JsonSchema), ...more } }; // every schema above has properties
}

/** Where a policy counts: `local` leaves it to how the gateways are set up, which share what they can. */
export function scopeOf({ policy }: Pick<LimitSettings, "policy">, { defaultScope }: Pick<Limits, "defaultScope">): LimitScope {
  return policy === "local" ? defaultScope : "shared";
}

/** What the caller can set by itself. */
const OF_THE_CALLER = /^(?:http_|arg_|cookie_|post_arg|uri_param_|args$|query_string$|request_body$)/;

/** The first variable of these amounts that callers choose themselves; a limit made of it is none. */
export function callersVariable(amounts: readonly (number | string | undefined)[]): string | undefined {
  return amounts
    .flatMap((amount) => (typeof amount === "string" ? compileTemplate(amount).variables : []))
    .find((name) => OF_THE_CALLER.test(name));
}

/** Settings with rules: the key beside them is not used. */
export function withoutKey<Settings extends { readonly key?: string }>({ key: _key, ...rest }: Settings): Omit<Settings, "key"> {
  return rest;
}

/** What is dangerous or of no effect about these settings, in words for operators. */
export function limitHazards(
  settings: Partial<LimitSettings> & { readonly key?: string; readonly key_type?: string },
  profile: Profile,
  place: "route" | "consumer" = "route",
): readonly string[] {
  const hazards: string[] = [];
  const { key, key_type: type = "var", policy = "local" } = settings;
  if (profile === "strict") {
    if (settings.per_tenant === false) hazards.push("per_tenant is false: one tenant's requests use up the limit of the others");
  } else if (type === "var" && key?.startsWith("$") === true) {
    hazards.push(`the key "${key}" is no variable (\`$\` is for key_type var_combination), so callers are counted by their address`);
  } else if (key !== undefined && type !== "constant" && key !== "remote_addr" && !(place === "consumer" && key === "consumer_name")) {
    hazards.push(`where the key "${key}" has no value, callers are counted by their address`);
  }
  if (policy !== "local")
    hazards.push(`policy ${policy} counts in the ledger of the installation; the addresses that are named here are not used`);
  return hazards;
}
