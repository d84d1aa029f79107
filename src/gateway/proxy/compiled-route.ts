import { Fault } from "../../kernel/index.ts";
import type { ForwardTimeouts } from "../../wire/index.ts";
import type { GatewayDocument, RouteSettings, ServiceSettings, UpstreamSettings } from "../dialect/objects.ts";
import { compileAddresses } from "../routing/addresses.ts";
import { compileExpression } from "../routing/expression.ts";
import type { MatchRule } from "../routing/matcher.ts";
import type { PatternCompiler } from "../routing/pattern.ts";
import { toTimeouts, type Upstream } from "../upstreams/upstream.ts";
import type { RouteFacts } from "./plugin.ts";
import type { PluginChain, PluginLayer } from "./plugin-chain.ts";

/** What is wrong with a route that can only be said when it is used: an object that it names is not there. */
export type Dangling = "service" | "upstream" | "plugin_config";

/** A route with everything that can be made ahead. */
export interface CompiledRoute {
  readonly index: number;
  readonly settings: RouteSettings;
  readonly facts: RouteFacts;
  readonly layers: readonly PluginLayer[];
  readonly chain: PluginChain;
  readonly upstream: Upstream | undefined;
  readonly timeouts: ForwardTimeouts | undefined;
  readonly websocket: boolean;
  readonly dangling: Dangling | undefined;
  /** The caller's credentials go on to the upstream. */
  readonly keepsCredentials: boolean;
  /** Without a proved tenant nothing is forwarded. */
  readonly needsTenant: boolean;
}

/** A route with the objects that it refers to. */
export interface JoinedRoute {
  readonly settings: RouteSettings;
  readonly service: ServiceSettings | undefined;
  /** From the lowest to the highest. */
  readonly layers: readonly PluginLayer[];
  /** Its upstream's id, or settings of its own with the id that they get. */
  readonly upstream: { readonly id: string; readonly settings: UpstreamSettings } | undefined;
  readonly dangling: Dangling | undefined;
}

/** Follows a route's references and lays service, plugin config and route over each other. */
export function joinRoute(route: RouteSettings, document: GatewayDocument): JoinedRoute {
  const service = route.service_id === undefined ? undefined : document.services.get(route.service_id);
  const config = route.plugin_config_id === undefined ? undefined : document.plugin_configs.get(route.plugin_config_id);
  const layers: PluginLayer[] = [];
  if (service?.plugins) layers.push({ owner: `service:${service.id}`, settings: service.plugins });
  if (config) layers.push({ owner: `plugin_config:${config.id}`, settings: config.plugins });
  if (route.plugins) layers.push({ owner: `route:${route.id}`, settings: route.plugins });
  const found = findUpstream(route, service, document);
  const missingService = route.service_id !== undefined && !service;
  const missingConfig = route.plugin_config_id !== undefined && !config;
  const dangling = missingService ? "service" : missingConfig ? "plugin_config" : found === "missing" ? "upstream" : undefined;
  return { settings: route, service, layers, upstream: found === "missing" ? undefined : found, dangling };
}

/** The upstream that the route names, else its own settings, else the same of its service. */
function findUpstream(
  route: RouteSettings,
  service: ServiceSettings | undefined,
  document: GatewayDocument,
): JoinedRoute["upstream"] | "missing" {
  const named = (id: string): JoinedRoute["upstream"] | "missing" => {
    const settings = document.upstreams.get(id);
    return settings ? { id, settings } : "missing";
  };
  if (route.upstream_id !== undefined) return named(route.upstream_id);
  if (route.upstream) return { id: `route:${route.id}`, settings: route.upstream };
  if (service?.upstream_id !== undefined) return named(service.upstream_id);
  return service?.upstream && { id: `service:${service.id}`, settings: service.upstream };
}

/** What the route asks of a request. */
export function toRule(joined: JoinedRoute, route: CompiledRoute, pattern: PatternCompiler): MatchRule<CompiledRoute> {
  const { settings, service } = joined;
  const hosts = settings.hosts ?? (settings.host === undefined ? (service?.hosts ?? []) : [settings.host]);
  const addresses = settings.remote_addrs ?? (settings.remote_addr === undefined ? undefined : [settings.remote_addr]);
  return {
    value: route,
    paths: settings.uris ?? (settings.uri === undefined ? [] : [settings.uri]),
    hosts: hosts.map((host) => host.toLowerCase()),
    methods: settings.methods && new Set(settings.methods),
    addresses: addresses && compileAddresses(addresses),
    vars: settings.vars && compileExpression(settings.vars, pattern),
    priority: settings.priority,
  };
}

/** Facts and settings of a route that need nothing else. */
export function routeBasics(joined: JoinedRoute): Pick<CompiledRoute, "settings" | "facts" | "timeouts" | "websocket" | "dangling"> {
  const { settings, service, dangling } = joined;
  return {
    settings,
    facts: {
      id: settings.id,
      name: settings.name,
      serviceId: settings.service_id,
      serviceName: service?.name,
      labels: { ...service?.labels, ...settings.labels },
    },
    timeouts: settings.timeout && toTimeouts(settings.timeout),
    websocket: settings.enable_websocket ?? service?.enable_websocket ?? false,
    dangling,
  };
}

/** Schemes that are spoken to upstreams. The others are refused in the strict profile and answered with 502 in the other. */
export function assertSpoken(id: string, { scheme }: UpstreamSettings): void {
  if (scheme === "http" || scheme === "https") return;
  const detail = `The upstream ${id} has the scheme ${scheme}, which is not spoken.`;
  throw new Fault("invalid_settings", detail, { public: { detail } });
}
