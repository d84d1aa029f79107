import type { JsonSchema } from "../../proxy/plugin.ts";
import { ADDRESS, HOST, ID, IDENTITY, listOf, METADATA, METHODS, PLUGIN_SET, PRIVATE_KEY, TIMEOUT, UNNAMED } from "./shared.ts";
import { UPSTREAM } from "./upstream.ts";

const SCRIPT: JsonSchema = { type: "string", minLength: 10, maxLength: 102_400 };

/** What is served by the routes' services, of which a route must name one; `strict` also takes a plugin config alone, which can answer. */
function routeSources(strict: boolean): readonly JsonSchema[] {
  const sources = ["plugins", "upstream", "upstream_id", "service_id", ...(strict ? ["plugin_config_id"] : [])];
  // in the order in which the text says what is missing
  const served = ["uri", "uris"].flatMap((uri) => sources.map((source) => ({ required: [source, uri] })));
  return [...served, { required: ["script", "uri"] }, { required: ["script", "uris"] }];
}

/** At most one of the two fields. */
function oneAtMost(one: string, other: string): JsonSchema {
  const either = [{ required: [one] }, { required: [other] }];
  return { oneOf: [{ not: { anyOf: either } }, ...either] };
}

function route(strict: boolean): JsonSchema {
  return {
    type: "object",
    properties: {
      ...METADATA,
      uri: { type: "string", minLength: 1, maxLength: 4_096 },
      uris: listOf({ type: "string", minLength: 1, maxLength: 4_096 }),
      priority: { type: "integer", default: 0 },
      methods: { type: "array", items: { type: "string", enum: METHODS }, uniqueItems: true },
      host: HOST,
      hosts: listOf(HOST),
      remote_addr: ADDRESS,
      remote_addrs: listOf(ADDRESS),
      timeout: TIMEOUT,
      vars: { type: "array" },
      filter_func: { type: "string", minLength: 10, pattern: "^function" },
      script: SCRIPT,
      script_id: ID,
      plugins: PLUGIN_SET,
      plugin_config_id: ID,
      upstream: UPSTREAM,
      service_id: ID,
      upstream_id: ID,
      enable_websocket: { type: "boolean" },
      status: { type: "integer", enum: [1, 0], default: 1 },
    },
    allOf: [
      { oneOf: [{ required: ["uri"] }, { required: ["uris"] }] },
      oneAtMost("host", "hosts"),
      oneAtMost("remote_addr", "remote_addrs"),
    ],
    anyOf: routeSources(strict),
    not: { anyOf: [{ required: ["script", "plugins"] }, { required: ["script", "plugin_config_id"] }] },
    additionalProperties: false,
  };
}

const SERVICE: JsonSchema = {
  type: "object",
  properties: {
    ...METADATA,
    plugins: PLUGIN_SET,
    upstream: UPSTREAM,
    upstream_id: ID,
    script: SCRIPT,
    enable_websocket: { type: "boolean" },
    hosts: listOf(HOST),
  },
  additionalProperties: false,
};

const CONSUMER: JsonSchema = {
  type: "object",
  properties: {
    ...UNNAMED,
    username: { type: "string", minLength: 1, maxLength: 256, pattern: "^[a-zA-Z0-9_\\-]+$" },
    group_id: ID,
    plugins: PLUGIN_SET,
  },
  required: ["username"],
  additionalProperties: false,
};

const CREDENTIAL: JsonSchema = {
  type: "object",
  properties: { ...METADATA, plugins: { type: "object", maxProperties: 1 } },
  additionalProperties: false,
};

const PLUGIN_HOLDER: JsonSchema = {
  type: "object",
  properties: { ...METADATA, plugins: PLUGIN_SET },
  required: ["id", "plugins"],
  additionalProperties: false,
};

const GLOBAL_RULE: JsonSchema = { ...PLUGIN_HOLDER, properties: { ...IDENTITY, plugins: PLUGIN_SET } };

const CERTIFICATE: JsonSchema = { type: "string", minLength: 128, maxLength: 64 * 1024 };

const SSL: JsonSchema = {
  type: "object",
  properties: {
    ...UNNAMED,
    type: { type: "string", default: "server", enum: ["server", "client"] },
    cert: CERTIFICATE,
    key: PRIVATE_KEY,
    certs: { type: "array", items: CERTIFICATE },
    keys: { type: "array", items: PRIVATE_KEY },
    sni: HOST,
    snis: { type: "array", items: HOST, minItems: 1 },
    client: {
      type: "object",
      properties: {
        ca: CERTIFICATE,
        depth: { type: "integer", minimum: 0, default: 1 },
        skip_mtls_uri_regex: listOf({ type: "string" }),
      },
      required: ["ca"],
    },
    status: { type: "integer", enum: [1, 0], default: 1 },
    ssl_protocols: { type: "array", maxItems: 3, uniqueItems: true, items: { enum: ["TLSv1.1", "TLSv1.2", "TLSv1.3"] } },
  },
  if: { properties: { type: { enum: ["server"] } } },
  // oxlint-disable-next-line unicorn/no-thenable -- a keyword of JSON Schema
  then: { oneOf: [{ required: ["sni", "key", "cert"] }, { required: ["snis", "key", "cert"] }] },
  else: { required: ["key", "cert"] },
  additionalProperties: false,
};

const KEY_SETTINGS: JsonSchema = {
  type: "object",
  properties: {
    key: { type: "string", minLength: 1 },
    algorithm: { type: "string" },
    secret: { type: "string" },
    public_key: { type: "string" },
  },
  required: ["key"],
  additionalProperties: false,
};

/** Ours: a tenant in one line. */
export const TENANT_LINE: JsonSchema = {
  type: "object",
  properties: {
    plan: ID,
    keys: listOf({ type: "string", minLength: 1 }),
    jwt: KEY_SETTINGS,
    plugins: PLUGIN_SET,
  },
  additionalProperties: false,
};

/** Ours: what the tenants of a plan have in common. */
export const PLAN_LINE: JsonSchema = {
  type: "object",
  properties: { plugins: PLUGIN_SET, weight: { type: "number", exclusiveMinimum: 0 } },
  additionalProperties: false,
};

/** Lists of a document, in the order in which they are checked: what is referred to comes first. */
export const KINDS = [
  "ssls",
  "plugin_metadata",
  "upstreams",
  "services",
  "plugin_configs",
  "consumer_groups",
  "consumers",
  "global_rules",
  "routes",
] as const;
export type Kind = (typeof KINDS)[number];

/** Ours: parts of a document that are mappings of names to lines. */
export const MAPPINGS = ["tenants", "plans"] as const;

/** Whether a list of a document has this name. */
export function isKind(name: string): name is Kind {
  return KINDS.some((kind) => kind === name);
}

/** Kinds of APISIX that say nothing here: they are about transports or stores that there are not. */
export const OTHER_KINDS: readonly string[] = ["stream_routes", "protos", "secrets"];

/** The schema of each kind; `credential` is an entry of `consumers` with an id of its own. */
export function schemasOf(strict: boolean): Readonly<Record<Exclude<Kind, "plugin_metadata"> | "credential", JsonSchema>> {
  return {
    routes: route(strict),
    services: SERVICE,
    upstreams: UPSTREAM,
    consumers: CONSUMER,
    credential: CREDENTIAL,
    consumer_groups: PLUGIN_HOLDER,
    plugin_configs: PLUGIN_HOLDER,
    global_rules: GLOBAL_RULE,
    ssls: SSL,
  };
}
