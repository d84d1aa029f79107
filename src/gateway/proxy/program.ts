import { BoundedMap, Turns } from "../../kernel/index.ts";
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
import type { InstanceScope, PluginInstances } from "./plugin-instances.ts";
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

/** One document, compiled. It does not change any more; when nobody uses it any more, what only it used is closed. */
export class Program {
  readonly document: GatewayDocument;
  readonly consumers: ConsumerIndex;
  /** Upstreams by id. */
  readonly upstreams = new Map<string, Upstream>();
  /** Calls under way. */
  active = 0;
  readonly #ports: ProgramPorts;
  readonly #scope: InstanceScope;
  readonly #maker: ChainMaker;
  readonly #taken = new Set<string>();
  readonly #opened: Upstream[] = [];
  readonly #overlays = new BoundedMap<string, Overlay>(OVERLAYS_MAX);
  readonly #matcher = new RouteMatcher<CompiledRoute>();
  /** Auth plugins as they are configured, each once. */
  readonly #claimants = new Map<string, Pick<Step, "plugin" | "settings">>();
  #global = EMPTY_CHAIN;
  #matchesBody = false;
  #matchesTier = false;
  #retired = false;

  /** Compiles a document, while everything else goes on. Programs of two generations have no plugin and no upstream in common. */
  static async compile(document: GatewayDocument, generation: number, ports: ProgramPorts): Promise<Program> {
    const program = new Program(document, generation, ports);
    try {
      await program.#build();
      return program;
    } catch (error) {
      await program.#release(); // what could be made is given back
      throw error;
    }
  }

  private constructor(document: GatewayDocument, generation: number, ports: ProgramPorts) {
    this.document = document;
    this.#ports = ports;
    this.#scope = {
      generation,
      hasUpstream: (id) => document.upstreams.has(id),
      certificateOf: ({ tls }) => (tls?.client_cert_id === undefined ? undefined : document.ssls.get(tls.client_cert_id)),
    };
    this.consumers = new ConsumerIndex(document);
    this.#maker = {
      pluginOf: ports.pluginOf,
      pattern: ports.pattern,
      warn: ports.warn,
      instanceOf: (placement) => ports.instances.take(this.#requestOf(placement), this.#taken),
    };
  }

  /** The plugins of every request. */
  get global(): PluginChain {
    return this.#global;
  }

  /** Some route is chosen by what is in the body. */
  get matchesBody(): boolean {
    return this.#matchesBody;
  }

  /** Some route is chosen by the plan of the tenant. */
  get matchesTier(): boolean {
    return this.#matchesTier;
  }

  async #build(): Promise<void> {
    const turns = new Turns();
    await this.consumers.fill(this.#ports.pluginOf, turns);
    for (const [id, settings] of this.document.upstreams) {
      this.upstreams.set(id, this.#open(id, settings));
      await turns.give();
    }
    this.#global = createChain(this.#globalPlacements(), this.#maker);
    this.#addClaimants(this.#global);
    let index = 0;
    for (const settings of this.document.routes) {
      if (settings.status === 1) this.#addRoute(joinRoute(settings, this.document), index++);
      await turns.give();
    }
    await this.#keepInstances(turns);
  }

  #addRoute(joined: JoinedRoute, index: number): void {
    const compiled = this.#compile(joined, index);
    const rule = toRule(joined, compiled, this.#ports.pattern);
    this.#matcher.add(rule);
    const { variables = [] } = rule.vars ?? {};
    this.#matchesBody ||= variables.some(isBodyVariable);
    this.#matchesTier ||= variables.includes("tenant_tier");
    this.#addClaimants(compiled.chain);
  }

  /** Each way in which some route proves consumers that shows in the head of a request. */
  #addClaimants({ steps }: PluginChain): void {
    for (const { plugin, settings } of steps)
      if (plugin.claims) this.#claimants.set(JSON.stringify([plugin.name, settings]), { plugin, settings });
  }

  /** The consumer that a request says it is, by any auth plugin of the document that can tell without proof. */
  claimedConsumer(head: RequestHead): Consumer | undefined {
    for (const { plugin, settings } of this.#claimants.values()) {
      for (const { plugin: name, value } of plugin.claims?.(settings, head, this.#ports.profile) ?? []) {
        const found = this.consumers.find(name, value);
        if (found) return found.consumer;
      }
    }
    return undefined;
  }

  match(view: RequestView): CompiledRoute | undefined {
    return view.normalPath === undefined ? undefined : this.#matcher.find(view);
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
    const upstream = this.#ports.upstreams.take(id, settings, this.#scope.certificateOf(settings), this.#scope.generation);
    this.#opened.push(upstream);
    return upstream;
  }

  #requestOf({ plugin, owner, settings }: Pick<Placement, "plugin" | "owner" | "settings">): Parameters<PluginInstances["take"]>[0] {
    return { scope: this.#scope, plugin, owner, settings, metadata: this.document.plugin_metadata.get(plugin.name) };
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

  /**
   * Instances of consumers are made when they are first needed; those that exist and are the same in this document are kept, also those that
   * requests make while they are being looked through.
   */
  async #keepInstances(turns: Turns): Promise<void> {
    for (const owner of this.#ports.instances.ownersBesides(this.#taken)) {
      this.#keepLayer(this.consumers.layerOfOwner(owner));
      await turns.give();
    }
  }

  #keepLayer(layer: PluginLayer | undefined): void {
    for (const placement of mergeLayers([layer], this.#maker).values()) {
      const request = this.#requestOf(placement);
      if (this.#ports.instances.has(request)) this.#ports.instances.take(request, this.#taken);
    }
  }
}

function flagOf(settings: unknown, name: string): unknown {
  if (typeof settings !== "object" || settings === null) return undefined;
  return (settings as Readonly<Record<string, unknown>>)[name]; // a plain object of checked settings
}
