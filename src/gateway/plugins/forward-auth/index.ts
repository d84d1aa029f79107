import { Fault } from "../../../kernel/index.ts";
import type { Answer, OutboundResponse } from "../../../wire/index.ts";
import type { Call, Plugin, PluginPorts } from "../../proxy/plugin.ts";
import { compileHeaders, headerProblem, type HeaderTemplate, ownFieldProblem, setOrRemove } from "../shared/header-fields.ts";

/** Settings of forward-auth: the service that is asked whether a request may go on. */
export interface ForwardAuthSettings {
  readonly uri: string;
  readonly allow_degradation: boolean;
  readonly status_on_error: number;
  readonly ssl_verify: boolean;
  readonly request_method: "GET" | "POST";
  readonly max_req_body_size: number;
  readonly request_headers: readonly string[];
  readonly extra_headers?: Readonly<Record<string, string>>;
  readonly upstream_headers: readonly string[];
  readonly client_headers: readonly string[];
  /** Milliseconds. */
  readonly timeout: number;
  readonly keepalive: boolean;
  readonly keepalive_timeout: number;
  readonly keepalive_pool: number;
}

const NAMES = { type: "array", default: [], items: { type: "string" } };
const SCHEMA = {
  type: "object",
  properties: {
    uri: { type: "string" },
    allow_degradation: { type: "boolean", default: false },
    status_on_error: { type: "integer", minimum: 200, maximum: 599, default: 403 },
    ssl_verify: { type: "boolean", default: true },
    request_method: { type: "string", default: "GET", enum: ["GET", "POST"] },
    max_req_body_size: { type: "integer", minimum: 1, default: 67_108_864 },
    request_headers: NAMES,
    extra_headers: { type: "object", minProperties: 1, patternProperties: { "^[^:]+$": { type: "string" } } },
    upstream_headers: NAMES,
    client_headers: NAMES,
    timeout: { type: "integer", minimum: 1, maximum: 60_000, default: 3000 },
    keepalive: { type: "boolean", default: true },
    keepalive_timeout: { type: "integer", minimum: 1000, default: 60_000 },
    keepalive_pool: { type: "integer", minimum: 1, default: 5 },
  },
  required: ["uri"],
};
/** The most of the service's answer that is read. */
const ANSWER_BYTES_MAX = 1024 * 1024;

/**
 * Asks another service whether the request may go on. It gets the fields that are named and nothing else of the caller; of its answer only
 * the named fields reach the upstream, and those it leaves out are removed, so that a caller cannot send them.
 */
export const forwardAuth: Plugin<ForwardAuthSettings> = {
  name: "forward-auth",
  priority: 2002,
  schema: SCHEMA,
  check({ uri, extra_headers: extra = {}, upstream_headers: upward }, profile) {
    if (!URL.canParse(uri) || !/^https?:\/\//i.test(uri)) return `property "uri" validation failed: ${uri} is no address of HTTP`;
    for (const [name, value] of Object.entries(extra)) {
      const wrong = headerProblem(name, value, "apisix");
      if (wrong) return wrong;
    }
    return profile === "strict" ? upward.map(ownFieldProblem).find((wrong) => wrong !== undefined) : undefined;
  },
  hazards({ uri, ssl_verify: verifies, allow_degradation: degrades }) {
    const found: string[] = [];
    if (!uri.startsWith("https")) found.push("forward-auth asks without TLS.");
    else if (!verifies) found.push("forward-auth does not check the certificate of the service that it asks.");
    if (degrades) found.push("forward-auth lets everybody in while the service cannot be asked.");
    return found;
  },
  create(settings, _owner, ports) {
    const extra = compileHeaders(settings.extra_headers);
    return { access: (call) => authorise(call, settings, extra, ports) };
  },
};

async function authorise(
  call: Call,
  settings: ForwardAuthSettings,
  extra: readonly HeaderTemplate[],
  ports: PluginPorts,
): Promise<Answer | undefined> {
  const headers = requestHeaders(call, settings, extra);
  if (!headers) return { status: settings.status_on_error, headers: {}, body: undefined };
  const body = settings.request_method === "POST" ? await call.body(settings.max_req_body_size) : undefined;
  let response: OutboundResponse;
  try {
    response = await ports.fetch({
      method: settings.request_method,
      url: settings.uri,
      headers,
      ...(body && { body }),
      timeoutMs: settings.timeout,
      bytesMax: ANSWER_BYTES_MAX,
      verify: settings.ssl_verify,
    });
  } catch (error) {
    if (!(error instanceof Fault)) throw error;
    ports.warn("forward-auth could not ask its service", { code: error.code, error: error.message });
    return settings.allow_degradation ? undefined : { status: settings.status_on_error, headers: {}, body: undefined };
  }
  if (response.status >= 300) return refusal(response, settings.client_headers);
  for (const name of settings.upstream_headers) setOrRemove(call.upstream.headers, name, fieldOf(response, name)?.join(", ") ?? "");
  return undefined;
}

/** Undefined when a value would begin another header field: such a request is not asked about at all. */
function requestHeaders(call: Call, settings: ForwardAuthSettings, extra: readonly HeaderTemplate[]): Record<string, string> | undefined {
  const { head } = call;
  const headers: Record<string, string> = {
    "x-forwarded-proto": String(call.variable("scheme") ?? head.scheme),
    "x-forwarded-method": head.method,
    "x-forwarded-host": String(call.variable("host") ?? head.host ?? ""),
    "x-forwarded-uri": head.target.raw,
    "x-forwarded-for": String(call.variable("remote_addr") ?? head.remoteAddress),
  };
  const encoding = settings.request_method === "POST" ? head.headers.all("content-encoding").join(", ") : "";
  if (encoding !== "") headers["content-encoding"] = encoding;
  for (const { name, value } of extra) headers[name.toLowerCase()] = value.render(call);
  for (const name of settings.request_headers) {
    const values = head.headers.all(name);
    if (values.length > 0) headers[name.toLowerCase()] ??= values.join(", ");
  }
  return Object.values(headers).some((value) => /[\0\r\n]/.test(value)) ? undefined : headers;
}

function refusal(response: OutboundResponse, names: readonly string[]): Answer {
  const headers: Record<string, readonly string[]> = {};
  for (const name of names) {
    const values = fieldOf(response, name);
    if (values) headers[name.toLowerCase()] = values;
  }
  return { status: response.status, headers, body: response.body.length > 0 ? response.body : undefined };
}

function fieldOf({ headers }: OutboundResponse, name: string): readonly string[] | undefined {
  const value = headers[name.toLowerCase()];
  return typeof value === "string" ? [value] : value;
}
