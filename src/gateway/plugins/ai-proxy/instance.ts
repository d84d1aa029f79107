import { ANSWER_FIELDS, type ModelProtocol, type PassedTarget, PROTOCOLS } from "../../../models/index.ts";
import type { UpstreamSettings } from "../../dialect/objects.ts";
import type { Call, PluginOwner, UpstreamTarget } from "../../proxy/plugin.ts";
import { OwnTarget } from "../../proxy/plugin-instances.ts";
import { type Endpoint, endpointOf } from "./endpoint.ts";
import type { ClientRequest } from "./request.ts";
import type { InstanceSettings, ProviderName, SharedSettings } from "./settings.ts";

/** One provider of a route, ready to be asked. */
export interface Instance {
  readonly name: string;
  readonly weight: number;
  readonly priority: number;
  readonly model: string | undefined;
  readonly target: UpstreamTarget | undefined;
  /** Whether checks have found nothing against it. */
  readonly usable: boolean;
  speaks(protocol: ModelProtocol): boolean;
  /** The provider with what the settings put into this request. */
  targetFor(request: ClientRequest): PassedTarget;
  /** Makes the call one to this provider. */
  apply(call: Call, protocol: ModelProtocol, body: Uint8Array): void;
}

/** Fields of the caller that mean nothing to a provider, or that its connection makes. */
const NOT_SENT = ["host", "content-length", "accept-encoding", "content-type"] as const;
/** In strict: all that goes on to somebody else's server. */
const SENT = new Set(["accept", "openai-beta", "anthropic-version", "anthropic-beta", "idempotency-key", "user-agent"]);
/** In strict: all that comes back from there. A compressed answer has to say so. */
const ANSWERED: ReadonlySet<string> = new Set([...ANSWER_FIELDS, "content-encoding"]);
const DEFAULT_PORTS: Readonly<Record<string, number>> = { "http:": 80, "https:": 443 };

/** An instance of these settings, whose endpoint was checked with them. `credentialFields`: those of all instances of the route, in lower case. */
export function createInstance(
  settings: InstanceSettings,
  shared: SharedSettings,
  owner: PluginOwner,
  credentialFields: ReadonlySet<string>,
): Instance {
  const endpoint = endpointOf(settings);
  if (typeof endpoint === "string") throw new Error(endpoint);
  const target = owner.upstream(upstreamOf(endpoint, settings, shared));
  const { options, name, weight, priority } = settings;
  const model = options?.["model"];
  return {
    name,
    weight,
    priority,
    model: typeof model === "string" ? model : undefined,
    target,
    get usable() {
      return !(target instanceof OwnTarget) || (target.upstream?.nodes.every(({ usable }) => usable) ?? true);
    },
    speaks: (protocol) => endpoint.pathFor(protocol) !== undefined,
    targetFor: (request) => ({
      name,
      kind: KINDS[settings.provider] ?? "openai-compatible",
      base: endpoint.url,
      put: putFor(request, settings),
    }),
    apply: (call, protocol, body) => apply(call, protocol, body, { settings, endpoint, target, credentialFields }),
  };
}

function upstreamOf({ url }: Endpoint, { checks }: InstanceSettings, shared: SharedSettings): UpstreamSettings {
  const seconds = shared.timeout / 1000;
  const isTls = url.protocol === "https:";
  const settings: Record<string, unknown> = {
    type: "roundrobin",
    scheme: isTls ? "https" : "http",
    nodes: [{ host: url.hostname, port: url.port === "" ? DEFAULT_PORTS[url.protocol] : Number(url.port), weight: 1 }],
    pass_host: "node",
    retries: 0,
    timeout: { connect: seconds, send: seconds, read: seconds },
    keepalive_pool: { size: shared.keepalive ? shared.keepalive_pool : 1, idle_timeout: shared.keepalive_timeout / 1000, requests: 1000 },
    ...(isTls && { tls: { verify: shared.ssl_verify } }),
    ...(checks !== undefined && { checks }),
  };
  return settings as unknown as UpstreamSettings; // with every default of its schema that is used
}

interface Parts {
  readonly settings: InstanceSettings;
  readonly endpoint: Endpoint;
  readonly target: UpstreamTarget | undefined;
  readonly credentialFields: ReadonlySet<string>;
}

function apply(call: Call, protocol: ModelProtocol, body: Uint8Array, { settings, endpoint, target, credentialFields }: Parts): void {
  const { upstream, profile } = call;
  const { url } = endpoint;
  upstream.method = "POST";
  upstream.path = endpoint.pathFor(protocol) ?? url.pathname;
  const query = new URLSearchParams(url.search);
  for (const [name, value] of Object.entries(settings.auth.query ?? {})) query.set(name, value);
  upstream.query = query.toString();
  upstream.host = url.host;
  upstream.target = target;
  upstream.outside = true;
  upstream.body = body;
  const { headers } = upstream;
  if (profile === "strict") {
    for (const [name] of headers.fields()) if (!SENT.has(name.toLowerCase())) headers.remove(name);
    upstream.answerFields = ANSWERED;
  }
  for (const name of NOT_SENT) headers.remove(name);
  // the key of an instance that was tried before is for nobody else
  headers.removeAll(credentialFields);
  headers.set("Content-Type", "application/json");
  for (const [name, value] of Object.entries(PROTOCOLS[protocol].needed)) if (headers.get(name) === undefined) headers.set(name, value);
  for (const [name, value] of Object.entries(settings.auth.header ?? {})) headers.set(name, value);
}

/** The members that the settings put into a request. */
function putFor({ members, values, protocol }: ClientRequest, { options = {}, override }: InstanceSettings): PassedTarget["put"] {
  const added: Record<string, unknown> = { ...options };
  const forced = override?.request_body_force_override === true;
  for (const [name, value] of Object.entries(override?.request_body?.[DIALECT_NAMES[protocol]] ?? {})) {
    if (forced || !members.has(name)) added[name] = value;
  }
  const bound = override?.llm_options?.max_tokens;
  const [member] = protocol === "chat-completions" ? ["max_tokens"] : PROTOCOLS[protocol].outputMembers;
  if (bound !== undefined && member !== undefined) added[member] = bound;
  const isStream = (added["stream"] ?? values["stream"]) === true;
  const asked = isStream ? PROTOCOLS[protocol].askForUsage({ ...values, ...added }) : undefined;
  return { ...added, ...asked };
}

/** The providers that are more than compatible with OpenAI. */
const KINDS: Partial<Readonly<Record<ProviderName, PassedTarget["kind"]>>> = {
  openai: "openai",
  "azure-openai": "azure",
  anthropic: "anthropic",
  gemini: "gemini",
};

/** What the dialect calls the protocols. */
const DIALECT_NAMES: Readonly<Record<ModelProtocol, string>> = {
  "chat-completions": "openai-chat",
  responses: "openai-responses",
  embeddings: "openai-embeddings",
  messages: "anthropic-messages",
};
