import { BoundedMap } from "../../kernel/index.ts";
import type { RequestHead } from "../../wire/index.ts";
import type { GatewayDocument } from "../dialect/objects.ts";
import { RouteMatcher } from "../routing/matcher.ts";
import type { RequestView } from "../routing/request-view.ts";
import { isBodyVariable } from "../routing/variables.ts";
import type { Upstream } from "../upstreams/upstream.ts";
import { assertSpoken, type CompiledRoute, type JoinedRoute, joinRoute, routeBasics, toRule } from "./compiled-route.ts";
import { ConsumerIndex } from "./consumer-index.ts";
import type { Consumer, Plugin, Profile } from "./plugin.ts";
import {
  type ChainMaker,
  createChain,
  EMPTY_CHAIN,
  mergeLayers,
  type Placement,
  PluginChain,
  type PluginLayer,
  type Step,
} from "./plugin-chain.ts";
import type { PluginInstances } from "./plugin-instances.ts";
import type { UpstreamBook } from "./upstream-book.ts";

/** Chains of routes under a consumer or tenant that are kept. */
const OVERLAYS_MAX = 10_000;
const RESOLVER = "tenant-resolver";

/** What a document is compiled with. */
export interface ProgramPorts {
  readonly profile: Profile;
  readonly resolverRequired: boolean;
  readonly pattern: ChainMaker["pattern"];
  readonly instances: PluginInstances;
  readonly upstreams: UpstreamBook;
  readonly pluginOf: (name: string) => Plugin | undefined;
  readonly warn: (message: string) => void;
}

/** What a consumer and a tenant bring to a route. */
export interface Overlay {
  /** The chain from the access phase on. */
  readonly chain: PluginChain;
  /** Plugins that the route did not have, whose rewrite is still to run. */
  readonly added: PluginChain;
}

/** One document, compiled. It does not change; when nobody uses it any more, what only it used is closed. */
export class Program {
  readonly document: GatewayDocument;
  readonly consumers: ConsumerIndex;
  readonly global: PluginChain;
  readonly routes: readonly CompiledRoute[];
  readonly matcher: RouteMatcher<CompiledRoute>;
  /** Upstreams by id. */
  readonly upstreams = new Map<string, Upstream>();
  /** Some route is chosen by what is in the body. */
  readonly matchesBody: boolean;
  /** Some route is chosen by the plan of the tenant. */
  readonly matchesTier: boolean;
  /** Calls under way. */
  active = 0;
  readonly #ports: ProgramPorts;
  readonly #maker: ChainMaker;
  readonly #taken = new Set<string>();
  readonly #opened: Upstream[] = [];
  readonly #overlays = new BoundedMap<string, Overlay>(OVERLAYS_MAX);
  /** Auth plugins as they are configured, each once. */
  readonly #claimants: readonly Pick<Step, "plugin" | "settings">[];
  #retired = false;

  constructor(document: GatewayDocument, ports: ProgramPorts) {
    this.document = document;
    this.#ports = ports;
    this.consumers = new ConsumerIndex(document, ports.pluginOf);
    this.#maker = {
      pluginOf: ports.pluginOf,
      pattern: ports.pattern,
      warn: ports.warn,
      instanceOf: (placement) => ports.instances.take(this.#requestOf(placement), this.#taken),
    };
    try {
      for (const [id, settings] of document.upstreams) this.upstreams.set(id, this.#open(id, settings));
      this.global = createChain(this.#globalPlacements(), this.#maker);
      const joined = document.routes.filter(({ status }) => status === 1).map((route) => joinRoute(route, document));
      this.routes = joined.map((route, index) => this.#compile(route, index));
      const rules = joined.flatMap((route, index) => {
        const compiled = this.routes[index];
        return compiled ? [toRule(route, compiled, ports.pattern)] : [];
      });
      this.matcher = new RouteMatcher(rules);
      const variables = rules.flatMap(({ vars }) => vars?.variables ?? []);
      this.matchesBody = variables.some(isBodyVariable);
      this.matchesTier = variables.includes("tenant_tier");
      this.#claimants = claimantsIn([this.global, ...this.routes.map(({ chain }) => chain)]);
      this.#keepInstances();
    } catch (error) {
      void this.#release(); // what could be made is given back; closing reports for itself
      throw error;
    }
  }

  /** The consumer that a request says it is, by any auth plugin of the document that can tell without proof. */
  claimedConsumer(head: RequestHead): Consumer | undefined {
    for (const { plugin, settings } of this.#claimants) {
      for (const { plugin: name, value } of plugin.claims?.(settings, head, this.#ports.profile) ?? []) {
        const found = this.consumers.find(name, value);
        if (found) return found.consumer;
      }
    }
    return undefined;
  }

  match(view: RequestView): CompiledRoute | undefined {
    return view.normalPath === undefined ? undefined : this.matcher.find(view);
  }

  /** The layers of a consumer and of a tenant, the lowest first: plan, consumer group, tenant, consumer. */
  layersOf(consumer: string | undefined, groupId: string | undefined, tenant: { id: string; plan: string } | undefined): PluginLayer[] {
    const plan = tenant && this.consumers.planOf(tenant.id, tenant.plan);
    const layers = [
      this.consumers.groupLayer(plan),
      groupId === plan ? undefined : this.consumers.groupLayer(groupId),
      tenant && this.consumers.layerOf(tenant.id),
      consumer === undefined || consumer === tenant?.id ? undefined : this.consumers.layerOf(consumer),
    ];
    return layers.filter((layer) => layer !== undefined);
  }

  /** The route's chain with these layers over it; undefined when they bring nothing. */
  overlay(route: CompiledRoute, layers: readonly PluginLayer[]): Overlay | undefined {
    if (layers.length === 0) return undefined;
    // names have no space in them
    const key = `${route.index} ${layers.map(({ owner }) => owner).join(" ")}`;
    const known = this.#overlays.get(key);
    if (known) return known;
    const merged = mergeLayers([...route.layers, ...layers], this.#maker);
    const own = mergeLayers(route.layers, this.#maker);
    for (const step of route.chain.steps) if (!merged.has(step.plugin.name)) (merged as Map<string, Placement>).set(step.plugin.name, step);
    const chain = createChain(merged.values(), this.#maker);
    const added = chain.steps.filter(({ plugin }) => !own.has(plugin.name) && !route.chain.step(plugin.name) && plugin.kind !== "auth");
    const overlay = { chain, added: added.length === 0 ? EMPTY_CHAIN : new PluginChain(added) };
    this.#overlays.set(key, overlay);
    return overlay;
  }

  /** A newer document has taken over. */
  async retire(): Promise<void> {
    this.#retired = true;
    if (this.active === 0) await this.#release();
  }

  /** A call has ended. */
  leave(): Promise<void> | undefined {
    this.active--;
    return this.#retired && this.active === 0 ? this.#release() : undefined;
  }

  /** Gives back what was taken, also when compiling failed half-way. */
  async #release(): Promise<void> {
    for (const upstream of this.#opened.splice(0)) this.#ports.upstreams.release(upstream);
    await this.#ports.instances.release(this.#taken);
    this.#taken.clear();
  }

  #open(id: string, settings: Parameters<UpstreamBook["take"]>[1]): Upstream {
    try {
      assertSpoken(id, settings);
    } catch (error) {
      if (this.#ports.profile === "strict") throw error;
      this.#ports.warn(`the upstream ${id} has the scheme ${settings.scheme}, which is not spoken: it is answered with 502`);
    }
    const certificateId = settings.tls?.client_cert_id;
    const certificate = certificateId === undefined ? undefined : this.document.ssls.get(certificateId);
    const upstream = this.#ports.upstreams.take(id, settings, certificate);
    this.#opened.push(upstream);
    return upstream;
  }

  #requestOf({ plugin, owner, settings }: Pick<Placement, "plugin" | "owner" | "settings">): Parameters<PluginInstances["take"]>[0] {
    return { plugin, owner, settings, metadata: this.document.plugin_metadata.get(plugin.name) };
  }

  /** All rules together. A plugin that two of them name would mean two things, so it means nothing. */
  #globalPlacements(): readonly Placement[] {
    const found = new Map<string, Placement>();
    const twice = new Set<string>();
    for (const [id, { plugins }] of this.document.global_rules) {
      for (const placement of mergeLayers([{ owner: `global_rule:${id}`, settings: plugins }], this.#maker).values()) {
        if (found.has(placement.plugin.name)) twice.add(placement.plugin.name);
        found.set(placement.plugin.name, placement);
      }
    }
    for (const name of twice) this.#ports.warn(`the plugin ${name} stands in two global rules and is switched off in both`);
    return [...found.values()].filter(({ plugin }) => !twice.has(plugin.name));
  }

  #compile(joined: JoinedRoute, index: number): CompiledRoute {
    const merged = new Map(mergeLayers(joined.layers, this.#maker));
    this.#addResolver(merged, joined.settings.id);
    const chain = createChain(merged.values(), this.#maker);
    const resolver = chain.step(RESOLVER)?.settings ?? this.global.step(RESOLVER)?.settings;
    return {
      ...routeBasics(joined),
      index,
      layers: joined.layers,
      chain,
      upstream: joined.upstream && (this.#ofDocument(joined.upstream.id) ?? this.#open(joined.upstream.id, joined.upstream.settings)),
      keepsCredentials: this.#ports.profile === "apisix" || flagOf(resolver, "hide_credentials") === false,
      needsTenant: this.#ports.resolverRequired && flagOf(resolver, "required") !== false,
    };
  }

  #ofDocument(id: string): Upstream | undefined {
    return this.upstreams.get(id);
  }

  /** Nothing is forwarded for nobody: a route that says nothing about tenants gets the resolver that requires one. */
  #addResolver(merged: Map<string, Placement>, routeId: string): void {
    if (!this.#ports.resolverRequired || merged.has(RESOLVER) || this.global.step(RESOLVER)) return;
    const plugin = this.#ports.pluginOf(RESOLVER);
    if (plugin) merged.set(RESOLVER, { plugin, owner: `default:${routeId}`, settings: { required: true }, overrides: [] });
  }

  /** Instances of consumers are made when they are first needed; those that exist and are the same in this document are kept. */
  #keepInstances(): void {
    const groups = [...this.document.consumer_groups.keys()].map((id) => this.consumers.groupLayer(id));
    for (const layer of [...this.consumers.layers(), ...groups]) {
      for (const placement of mergeLayers([layer], this.#maker).values()) {
        const request = this.#requestOf(placement);
        if (this.#ports.instances.has(request)) this.#ports.instances.take(request, this.#taken);
      }
    }
  }
}

/** Each way in which some route proves consumers that shows in the head of a request. */
function claimantsIn(chains: readonly PluginChain[]): readonly Pick<Step, "plugin" | "settings">[] {
  const found = new Map<string, Pick<Step, "plugin" | "settings">>();
  for (const { steps } of chains)
    for (const { plugin, settings } of steps) if (plugin.claims) found.set(JSON.stringify([plugin.name, settings]), { plugin, settings });
  return [...found.values()];
}

function flagOf(settings: unknown, name: string): unknown {
  if (typeof settings !== "object" || settings === null) return undefined;
  return (settings as Readonly<Record<string, unknown>>)[name]; // a plain object of checked settings
}
