import { Fault, type Json, parseJson } from "../../../kernel/index.ts";
import type { Answer, OutboundResponse } from "../../../wire/index.ts";
import type { Call, Plugin, PluginPorts } from "../../proxy/plugin.ts";
import { isRecord } from "../../dialect/schema/compiler.ts";
import { ownFieldProblem, setOrRemove } from "../shared/header-fields.ts";
import { inputOf, type InputSettings } from "./input.ts";

/** Settings of opa: the policy that decides whether a request may go on. */
export interface OpaSettings extends InputSettings {
  readonly host: string;
  readonly policy: string;
  readonly ssl_verify: boolean;
  /** Milliseconds. */
  readonly timeout: number;
  readonly send_headers_upstream?: readonly string[];
}

const SCHEMA = {
  type: "object",
  properties: {
    host: { type: "string" },
    ssl_verify: { type: "boolean", default: true },
    policy: { type: "string" },
    timeout: { type: "integer", minimum: 1, maximum: 60_000, default: 3000 },
    keepalive: { type: "boolean", default: true },
    send_headers_upstream: { type: "array", minItems: 1, items: { type: "string" } },
    keepalive_timeout: { type: "integer", minimum: 1000, default: 60_000 },
    keepalive_pool: { type: "integer", minimum: 1, default: 5 },
    with_route: { type: "boolean", default: false },
    with_service: { type: "boolean", default: false },
    with_consumer: { type: "boolean", default: false },
  },
  required: ["host", "policy"],
};
/** The most of a decision that is read. */
const ANSWER_BYTES_MAX = 1024 * 1024;
const DEPTH_MAX = 64;

/** Asks an Open Policy Agent whether the request may go on. Nobody is let in by a decision that cannot be had or read. */
export const opa: Plugin<OpaSettings> = {
  name: "opa",
  priority: 2001,
  schema: SCHEMA,
  check({ host, send_headers_upstream: upward = [] }, profile) {
    if (!URL.canParse(host) || !/^https?:\/\//i.test(host)) return `property "host" validation failed: ${host} is no address of HTTP`;
    return profile === "strict" ? upward.map(ownFieldProblem).find((wrong) => wrong !== undefined) : undefined;
  },
  hazards({ host, ssl_verify: verifies }) {
    if (!host.startsWith("https")) return ["opa asks without TLS."];
    return verifies ? [] : ["opa does not check the certificate of the service that it asks."];
  },
  create(settings, _owner, ports) {
    const { host, policy } = settings;
    const url = `${host}/v1/data/${policy}`;
    return { access: (call) => decide(call, settings, url, ports) };
  },
};

async function decide(call: Call, settings: OpaSettings, url: string, ports: PluginPorts): Promise<Answer | undefined> {
  let response: OutboundResponse;
  try {
    response = await ports.fetch({
      method: "POST",
      url,
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ input: inputOf(call, settings, ports.clock) }),
      timeoutMs: settings.timeout,
      bytesMax: ANSWER_BYTES_MAX,
      verify: settings.ssl_verify,
    });
  } catch (error) {
    if (!(error instanceof Fault)) throw error;
    ports.warn("opa could not be asked", { code: error.code, error: error.message });
    return { status: 403, headers: {}, body: undefined };
  }
  const result = resultOf(response.body);
  if (!result) {
    ports.warn("opa gave no decision", { status: response.status });
    return { status: 503, headers: {}, body: undefined };
  }
  if (result["allow"] === undefined || result["allow"] === null || result["allow"] === false) return refusal(result);
  const headers = isRecord(result["headers"]) ? result["headers"] : {};
  for (const name of settings.send_headers_upstream ?? []) setOrRemove(call.upstream.headers, name, textOf(headers[name]));
  return undefined;
}

function resultOf(body: Uint8Array): Readonly<Record<string, unknown>> | undefined {
  let decision: Json;
  try {
    decision = parseJson(body, { bytesMax: ANSWER_BYTES_MAX, depthMax: DEPTH_MAX });
  } catch {
    return undefined;
  }
  return isRecord(decision) && isRecord(decision["result"]) ? decision["result"] : undefined;
}

/** The policy's own status, fields and reason. */
function refusal({ status_code: status, reason, headers: fields }: Readonly<Record<string, unknown>>): Answer {
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(isRecord(fields) ? fields : {})) headers[name.toLowerCase()] = textOf(value);
  const isStatus = typeof status === "number" && Number.isInteger(status) && status >= 200 && status <= 599;
  const body = typeof reason === "string" ? reason : reason === undefined || reason === null ? undefined : JSON.stringify(reason);
  return { status: isStatus ? status : 403, headers, body };
}

function textOf(value: unknown): string {
  return typeof value === "string" || typeof value === "number" || typeof value === "boolean" ? String(value) : "";
}
