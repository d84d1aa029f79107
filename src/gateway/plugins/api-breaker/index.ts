import { Fault } from "../../../kernel/index.ts";
import type { Answer } from "../../../wire/index.ts";
import type { Call, Plugin, PluginInstance, PluginOwner, PluginPorts, Verdict } from "../../proxy/plugin.ts";
import { compileTemplate, type Template } from "../../routing/template.ts";
import { Breakers, type BreakerSettings } from "./breakers.ts";

interface Settings extends BreakerSettings {
  readonly break_response_code: number;
  readonly break_response_body?: string;
  readonly break_response_headers?: readonly { readonly key: string; readonly value: string }[];
  /** Ours: whether each tenant has a breaker of its own. By default true in strict. */
  readonly per_tenant?: boolean;
}

const UNAVAILABLE = 503;

function statuses(minimum: number, maximum: number, standard: number): Record<string, unknown> {
  const items = { type: "integer", minimum, maximum };
  return { type: "array", minItems: 1, items, uniqueItems: true, default: [standard] };
}

/** Gives an upstream that fails a rest: while it lasts, calls are answered here. */
export const apiBreaker: Plugin<Settings> = {
  name: "api-breaker",
  priority: 1005,
  schema: {
    type: "object",
    properties: {
      break_response_code: { type: "integer", minimum: 200, maximum: 599 },
      break_response_body: { type: "string" },
      break_response_headers: {
        type: "array",
        items: {
          type: "object",
          properties: { key: { type: "string", minLength: 1 }, value: { type: "string", minLength: 1 } },
          required: ["value", "key"],
        },
      },
      max_breaker_sec: { type: "integer", minimum: 3, default: 300 },
      unhealthy: {
        type: "object",
        properties: { http_statuses: statuses(500, 599, 500), failures: { type: "integer", minimum: 1, default: 3 } },
        default: { http_statuses: [500], failures: 3 },
      },
      healthy: {
        type: "object",
        properties: { http_statuses: statuses(200, 499, 200), successes: { type: "integer", minimum: 1, default: 3 } },
        default: { http_statuses: [200], successes: 3 },
      },
      per_tenant: { type: "boolean" },
    },
    required: ["break_response_code"],
  },
  hazards: ({ per_tenant: perTenant }, profile) =>
    (perTenant ?? profile === "strict")
      ? []
      : ["the breaker is shared by everybody who calls the same host and path: one caller's failing requests cut off the others"],
  create,
};

function create(settings: Settings, owner: PluginOwner, ports: PluginPorts): PluginInstance {
  const breakers = new Breakers(settings, ports.clock);
  const headers = (settings.break_response_headers ?? []).map(({ key, value }) => [key.toLowerCase(), compileTemplate(value)] as const);
  const keyOf = breakerKey(owner, settings.per_tenant ?? owner.profile === "strict");
  return {
    access(call) {
      if (breakers.isIdle) return undefined;
      const restMs = breakers.restMs(keyOf(call));
      return restMs === 0 ? undefined : broken(call, settings, headers, restMs);
    },
    log(call) {
      const status = call.upstreamStatuses.at(-1);
      if (status === undefined || (breakers.isIdle && !breakers.isFailure(status))) return;
      breakers.answered(keyOf(call), status);
    },
  };
}

/** In strict by route, so that a caller cannot make itself new breakers by new paths; in the dialect by host and path. */
function breakerKey({ profile }: PluginOwner, perTenant: boolean): (call: Call) => string {
  const place =
    profile === "strict"
      ? (call: Call) => call.route?.id ?? ""
      : (call: Call) => `${String(call.variable("host") ?? "")}${String(call.variable("uri") ?? "")}`;
  // a uuid has no space in it, so no place can be mistaken for another tenant's
  return perTenant ? (call) => `${call.context?.tenant.uuid ?? ""} ${place(call)}` : place;
}

function broken(call: Call, settings: Settings, headers: readonly (readonly [string, Template])[], restMs: number): Verdict {
  const { break_response_code: status, break_response_body: body } = settings;
  if (body === undefined) {
    if (call.profile === "apisix" || status !== UNAVAILABLE) return { status, headers: {}, body: undefined };
    throw new Fault("circuit_open", "the upstream is given a rest", { public: { retryAfterMs: restMs } });
  }
  const fields: Record<string, readonly string[]> = {};
  for (const [name, value] of headers) fields[name] = [...(fields[name] ?? []), value.render(call)];
  return { status, headers: toFields(fields), body };
}

/** A media type is one: of several the last counts. */
function toFields(fields: Readonly<Record<string, readonly string[]>>): Answer["headers"] {
  const type = fields["content-type"]?.at(-1);
  return type === undefined ? { "content-type": "text/plain; charset=utf-8", ...fields } : { ...fields, "content-type": type };
}
