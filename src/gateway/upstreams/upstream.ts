import type { IsolationLevel, Random } from "../../kernel/index.ts";
import type { FairQueue } from "../../tenancy/limits/index.ts";
import type { ForwardTimeouts, OriginTls } from "../../wire/index.ts";
import type { FairSettings, NodeSettings, SslSettings, TimeoutSettings, UpstreamSettings } from "../dialect/objects.ts";
import { compileTemplate } from "../routing/template.ts";
import type { VariableSource } from "../routing/variable-source.ts";
import type { Balancer, Choice } from "./balancers/balancer.ts";
import { ConsistentHash } from "./balancers/consistent-hash.ts";
import { Ewma } from "./balancers/ewma.ts";
import { LeastConnections } from "./balancers/least-connections.ts";
import { RoundRobin } from "./balancers/round-robin.ts";
import { Node } from "./node.ts";
import { TenantHealth } from "./tenant-health.ts";

/** What an upstream is built with. */
export interface UpstreamPorts {
  readonly random: Random;
  readonly fairQueue: (settings: FairSettings) => FairQueue;
  /** Client certificate and check, for https. `certificate` is the one that the settings name in their document. */
  readonly tlsOf: (settings: UpstreamSettings, certificate: SslSettings | undefined) => OriginTls;
  /** Whether a single node is taken whatever its weight, as the dialect has it; otherwise one with the weight 0 never is. */
  readonly loneNodeServes: boolean;
}

/** Who asks for a node. */
export interface PickRequest {
  readonly source: VariableSource;
  readonly nowMs: number;
  readonly placement: IsolationLevel | undefined;
  readonly tried: readonly Node[];
  /** Whose requests say what nodes are like besides the checks; undefined where they say it for all. */
  readonly tenant: string | undefined;
}

const DEFAULT_TIMEOUT_MS = 60_000;
const DEFAULT_TIMEOUTS: ForwardTimeouts = { connectMs: DEFAULT_TIMEOUT_MS, sendMs: DEFAULT_TIMEOUT_MS, readMs: DEFAULT_TIMEOUT_MS };
const DEFAULT_KEEP_ALIVE = { idleMax: 320, idleMs: 60_000, requestsMax: 1000 };

/** Seconds of the dialect as milliseconds. */
export function toTimeouts(settings: TimeoutSettings | undefined): ForwardTimeouts {
  if (!settings) return DEFAULT_TIMEOUTS;
  return { connectMs: settings.connect * 1000, sendMs: settings.send * 1000, readMs: settings.read * 1000 };
}

/** The nodes of one placement: groups by priority, the highest first. */
class NodeSet {
  readonly nodes: readonly Node[];
  readonly #groups: readonly { readonly nodes: readonly Node[]; readonly balancer: Balancer }[];
  readonly #ofNode = new Map<Node, Balancer>();

  constructor(nodes: readonly Node[], balancerOf: (nodes: readonly Node[]) => Balancer) {
    this.nodes = nodes;
    const taken = nodes.filter(({ weight }) => weight > 0);
    const priorities = [...new Set(taken.map(({ priority }) => priority))].toSorted((a, b) => b - a);
    this.#groups = priorities.map((priority) => {
      const members = taken.filter((node) => node.priority === priority);
      const balancer = balancerOf(members);
      for (const node of members) this.#ofNode.set(node, balancer);
      return { nodes: members, balancer };
    });
  }

  pick(request: PickRequest, random: Random, health: TenantHealth): Node | undefined {
    const { tried, tenant } = request;
    const checked = (node: Node): boolean => node.usable && node.weight > 0;
    const own = (node: Node): boolean => checked(node) && (tenant === undefined || health.usable(tenant, node));
    // nobody is helped by refusing everything: where no node is well for the tenant, those well for the checks are taken, else all
    const usable = this.nodes.some(own) ? own : this.nodes.some(checked) ? checked : () => true;
    const allows = (node: Node): boolean => usable(node) && !tried.includes(node);
    const choice: Choice = { source: request.source, random, nowMs: request.nowMs, allows };
    for (const { balancer } of this.#groups) {
      const node = balancer.pick(choice);
      if (node) return node;
    }
    return undefined;
  }

  answered(node: Node, ms: number, nowMs: number): void {
    this.#ofNode.get(node)?.answered?.(node, ms, nowMs);
  }
}

/** One upstream at work: which node is next, and what is known of its nodes. */
export class Upstream {
  readonly id: string;
  readonly settings: UpstreamSettings;
  readonly timeouts: ForwardTimeouts;
  readonly keepAlive: { readonly idleMax: number; readonly idleMs: number; readonly requestsMax: number };
  /** Further tries after the first. */
  readonly retries: number;
  /** Milliseconds after which no further try begins; 0 for none. */
  readonly retryTimeoutMs: number;
  readonly fair: FairQueue | undefined;
  readonly nodes: readonly Node[];
  readonly tenantHealth = new TenantHealth();
  readonly #all: NodeSet;
  readonly #byPlacement: ReadonlyMap<string, NodeSet>;
  readonly #random: Random;
  readonly #loneNodeServes: boolean;

  constructor(id: string, settings: UpstreamSettings, certificate: SslSettings | undefined, ports: UpstreamPorts) {
    this.id = id;
    this.settings = settings;
    this.#random = ports.random;
    this.#loneNodeServes = ports.loneNodeServes;
    const tls = settings.scheme === "https" ? ports.tlsOf(settings, certificate) : undefined;
    const balancerOf = (nodes: readonly Node[]): Balancer => createBalancer(settings, nodes, ports.random);
    const setOf = (nodes: readonly NodeSettings[]): NodeSet =>
      new NodeSet(
        nodes.map((node) => new Node(node, settings, tls)),
        balancerOf,
      );
    this.#all = setOf(settings.nodes ?? []);
    this.#byPlacement = new Map(Object.entries(settings.nodes_by_placement ?? {}).map(([level, nodes]) => [level, setOf(nodes)]));
    this.nodes = [this.#all, ...this.#byPlacement.values()].flatMap(({ nodes }) => nodes);
    this.timeouts = toTimeouts(settings.timeout);
    const pool = settings.keepalive_pool;
    this.keepAlive = pool ? { idleMax: pool.size, idleMs: pool.idle_timeout * 1000, requestsMax: pool.requests } : DEFAULT_KEEP_ALIVE;
    this.retries = settings.retries ?? Math.max(0, this.#all.nodes.length - 1);
    this.retryTimeoutMs = (settings.retry_timeout ?? 0) * 1000;
    this.fair = settings.fair && ports.fairQueue(settings.fair);
  }

  /** The next node for this request, or undefined when there is none left. */
  pick(request: PickRequest): Node | undefined {
    const set = this.#setOf(request.placement);
    const [only] = set.nodes;
    // a single node may be tried again
    if (only && set.nodes.length === 1) return only.weight > 0 || this.#loneNodeServes ? only : undefined;
    return set.pick(request, this.#random, this.tenantHealth);
  }

  /** The head of an answer came from this node after `ms`. */
  answered(node: Node, ms: number, nowMs: number): void {
    this.#all.answered(node, ms, nowMs);
    for (const set of this.#byPlacement.values()) set.answered(node, ms, nowMs);
  }

  #setOf(placement: IsolationLevel | undefined): NodeSet {
    return (placement === undefined ? undefined : this.#byPlacement.get(placement)) ?? this.#all;
  }
}

function createBalancer(settings: UpstreamSettings, nodes: readonly Node[], random: Random): Balancer {
  switch (settings.type) {
    case "chash":
      return new ConsistentHash(nodes, hashKey(settings));
    case "least_conn":
      return new LeastConnections(nodes);
    case "ewma":
      return new Ewma(nodes);
    case "roundrobin":
      return new RoundRobin(nodes, random);
  }
}

/** What requests are told apart by. A request without it goes by its address. */
function hashKey(settings: UpstreamSettings): (choice: Choice) => string {
  const { hash_on: kind, key = "" } = settings;
  const orAddress = (choice: Choice, value: string | number | undefined): string =>
    String(value ?? choice.source.variable("remote_addr") ?? "");
  if (kind === "vars_combinations") {
    const template = compileTemplate(key);
    return (choice) => orAddress(choice, template.resolve(choice.source));
  }
  const name = hashVariable(kind, key);
  return (choice) => orAddress(choice, choice.source.variable(name));
}

function hashVariable(kind: Exclude<UpstreamSettings["hash_on"], "vars_combinations">, key: string): string {
  switch (kind) {
    case "header":
      return key.startsWith("http_") ? key : `http_${key}`;
    case "cookie":
      return key.startsWith("cookie_") ? key : `cookie_${key}`;
    case "consumer":
      return "consumer_name";
    case "vars":
      return key;
  }
}
