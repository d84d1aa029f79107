import { checkCertificates } from "./certificate-check.ts";
import { toNodeList } from "./node-list.ts";
import { type PluginCheckOptions, PluginChecks } from "./plugin-checks.ts";
import { isRecord, type SchemaCheck } from "./schema/compiler.ts";
import { createSchemaCheck } from "./schema/schema-check.ts";
import { type Kind, schemasOf } from "./schemas/kinds.ts";

/** The kinds of single objects: `credential` is an entry of `consumers` with an id of its own. */
export type ObjectKind = Kind | "credential";

const REFERENCES = ["id", "service_id", "upstream_id", "plugin_config_id", "group_id"] as const;
/** Lua in a document is refused in both profiles: a route without its function would match more than it says. */
const LUA_FIELDS = ["filter_func", "script"] as const;

/** Of each pair one may be given; said before anything else, as the dialect has it. */
const EITHER_OF = [
  ["host", "hosts"],
  ["remote_addr", "remote_addrs"],
] as const;
const VARIABLE_KEY =
  /^(?:uri|server_name|server_addr|request_uri|remote_port|remote_addr|query_string|host|hostname|mqtt_client_id|arg_[0-9a-zA-z_-]+)$/;
const FIELD_KEY = /^[a-zA-Z0-9-_]+$/;
/** Variables of our own, by which nodes may be chosen as well. */
const OWN_KEYS: ReadonlySet<string> = new Set(["tenant_id", "tenant_tier", "principal"]);

/** Checks single objects of the dialect and gives them their normal form, in place. */
export class ObjectChecks {
  readonly plugins: PluginChecks;
  readonly #schemas: ReadonlyMap<string, SchemaCheck>;
  readonly #strict: boolean;

  constructor(options: PluginCheckOptions) {
    this.#strict = options.profile === "strict";
    this.plugins = new PluginChecks(options);
    const schemas = Object.entries(schemasOf(this.#strict));
    this.#schemas = new Map(schemas.map(([kind, schema]) => [kind, createSchemaCheck(schema, { emptyIsEither: true })]));
  }

  /**
   * What is wrong with the object, in the words of APISIX's own admin API, or undefined. Then its defaults are filled in, ids are text,
   * nodes a list, aliases of plugins are replaced and names of hosts in lower case.
   */
  check(kind: ObjectKind, object: Record<string, unknown>): string | undefined {
    if (kind === "plugin_metadata") return this.#checkMetadata(object);
    const both = kind === "routes" ? EITHER_OF.find((pair) => pair.every((name) => object[name] !== undefined)) : undefined;
    if (both) return `only one of ${both.join(" or ")} is allowed`;
    const wrong = this.#schemas.get(kind)?.(object);
    if (wrong !== undefined) return `invalid configuration: ${wrong}`;
    const lua = LUA_FIELDS.find((name) => object[name] !== undefined);
    if (lua !== undefined) return `${lua} is Lua, which is not run here`;
    toText(object);
    return this.#checkUpstream(kind === "upstreams" ? object : object["upstream"]) ?? this.#checkParts(kind, object);
  }

  #checkParts(kind: ObjectKind, object: Record<string, unknown>): string | undefined {
    if (kind === "ssls") {
      toServerNames(object);
      return checkCertificates(object);
    }
    if (kind === "credential") return this.#checkCredential(object["plugins"]);
    if (kind !== "consumers") return this.plugins.checkSet(object["plugins"], "route") ?? this.#checkRoute(object);
    const wrong = this.plugins.checkSet(object["plugins"], "consumer");
    return wrong === undefined ? undefined : `invalid plugins configuration: ${wrong}`;
  }

  #checkRoute(object: Record<string, unknown>): string | undefined {
    for (const name of ["host", "hosts"]) object[name] = lowerCase(object[name]);
    for (const name of ["host", "hosts"]) if (object[name] === undefined) delete object[name];
    return this.plugins.checkExpression(object["vars"]);
  }

  #checkCredential(set: unknown): string | undefined {
    const [name] = isRecord(set) ? Object.keys(set) : [];
    if (name !== undefined && this.plugins.find(name)?.kind !== "auth") return "only supports auth type plugins in consumer credential";
    const wrong = this.plugins.checkSet(set, "consumer");
    return wrong === undefined ? undefined : `invalid plugins configuration: ${wrong}`;
  }

  #checkMetadata(object: Record<string, unknown>): string | undefined {
    const name = toId(object["id"]) ?? "";
    const plugin = this.plugins.find(name);
    if (!plugin) return `invalid plugin name`;
    const { id, ...metadata } = object;
    const wrong = this.plugins.checkMetadata(plugin, metadata);
    Object.assign(object, metadata, { id });
    return wrong === undefined ? undefined : `invalid configuration: ${wrong}`;
  }

  #checkUpstream(upstream: unknown): string | undefined {
    if (!isRecord(upstream)) return undefined;
    toText(upstream);
    const { pass_host: passHost, hash_on: hashOn, key, type, tls } = upstream;
    if (isRecord(tls) && tls["client_cert_id"] !== undefined) tls["client_cert_id"] = toId(tls["client_cert_id"]);
    if (passHost === "rewrite" && (upstream["upstream_host"] ?? "") === "")
      return "`upstream_host` can't be empty when `pass_host` is `rewrite`";
    const port = toNodeList(upstream);
    if (port !== undefined || type !== "chash" || hashOn === "consumer") return port;
    return typeof key === "string" ? this.#hashKeyProblem(hashOn, key) : "missing key";
  }

  /** In the apisix profile only the dialect's own keys, so that a document that is taken here is taken there. */
  #hashKeyProblem(hashOn: unknown, key: string): string | undefined {
    if (this.#strict || hashOn === "vars_combinations") return undefined;
    const pattern = hashOn === "vars" ? VARIABLE_KEY : FIELD_KEY;
    if (pattern.test(key) || OWN_KEYS.has(key)) return undefined;
    return `invalid configuration: failed to match pattern ${JSON.stringify(pattern.source)} with ${JSON.stringify(key)}`;
  }
}

/** An id as text, however it is written; undefined for what can be none. */
export function toId(value: unknown): string | undefined {
  return typeof value === "string" || typeof value === "number" ? String(value) : undefined;
}

function toText(object: Record<string, unknown>): void {
  for (const name of REFERENCES) if (typeof object[name] === "number") object[name] = String(object[name]);
}

function toServerNames(ssl: Record<string, unknown>): void {
  const { sni, snis } = ssl;
  const names = Array.isArray(snis) ? snis : sni === undefined ? [] : [sni];
  ssl["snis"] = names.map((name) => String(name).toLowerCase());
  delete ssl["sni"];
}

function lowerCase(value: unknown): unknown {
  if (typeof value === "string") return value.toLowerCase();
  return Array.isArray(value) ? value.map((each) => String(each).toLowerCase()) : value;
}
