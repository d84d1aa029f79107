import { toFault } from "../../kernel/index.ts";
import type { ForwardFailure, ProbeRequest } from "../../wire/index.ts";
import type { HealthCheckSettings } from "../dialect/objects.ts";
import type { Node } from "./node.ts";
import { type Finding, type FindingLimits, NodeCounters } from "./node-counters.ts";
import type { Upstream } from "./upstream.ts";

/** What checks work with. */
export interface HealthPorts {
  /** The status of the answer, 0 for a connection that was made and asked nothing. Throws `upstream_timeout` or another fault. */
  probe(request: ProbeRequest): Promise<number>;
  warn(message: string): void;
}

/** The checks of all upstreams in use. They begin with the first request to an upstream and end with its settings. */
export class HealthChecks {
  readonly #checkers = new Map<Upstream, Checker>();
  readonly #ports: HealthPorts;

  constructor(ports: HealthPorts) {
    this.#ports = ports;
  }

  begin(upstream: Upstream): void {
    const { checks } = upstream.settings;
    if (!checks || this.#checkers.has(upstream)) return;
    this.#checkers.set(upstream, new Checker(upstream, checks, this.#ports));
  }

  /** A request was answered by this node. `tenant` is whose; undefined where what it comes to counts for all. */
  answered(upstream: Upstream, node: Node, status: number, tenant: string | undefined): void {
    this.#checkers.get(upstream)?.answered(node, status, tenant);
  }

  /** A request got no answer from this node. */
  failed(upstream: Upstream, node: Node, kind: ForwardFailure["kind"], tenant: string | undefined): void {
    this.#checkers.get(upstream)?.failed(node, kind, tenant);
  }

  end(upstream: Upstream): void {
    this.#checkers.get(upstream)?.close();
    this.#checkers.delete(upstream);
  }

  close(): void {
    for (const checker of this.#checkers.values()) checker.close();
    this.#checkers.clear();
  }
}

/** The checks of one upstream. */
class Checker {
  readonly #upstream: Upstream;
  readonly #settings: HealthCheckSettings;
  readonly #ports: HealthPorts;
  readonly #counters = new Map<Node, NodeCounters>();
  readonly #timers: NodeJS.Timeout[] = [];
  readonly #passive: FindingLimits | undefined;
  readonly #active: FindingLimits;
  readonly #headers: Readonly<Record<string, string>>;

  constructor(upstream: Upstream, settings: HealthCheckSettings, ports: HealthPorts) {
    this.#upstream = upstream;
    this.#settings = settings;
    this.#ports = ports;
    for (const node of upstream.nodes) this.#counters.set(node, new NodeCounters(node));
    this.#active = limitsOf(settings.active);
    this.#passive = settings.passive && limitsOf(settings.passive);
    this.#headers = Object.fromEntries((settings.active.req_headers ?? []).map(splitField));
    const { healthy, unhealthy } = settings.active;
    this.#every(healthy.interval, (node) => node.usable);
    this.#every(unhealthy.interval, (node) => !node.usable || upstream.tenantHealth.isAvoided(node));
  }

  answered(node: Node, status: number, tenant: string | undefined): void {
    const { passive } = this.#settings;
    if (passive?.healthy.http_statuses.includes(status)) this.#found(node, "success", tenant);
    else if (passive?.unhealthy.http_statuses.includes(status)) this.#found(node, "http_failure", tenant);
  }

  failed(node: Node, kind: ForwardFailure["kind"], tenant: string | undefined): void {
    const timedOut = kind === "connect_timeout" || kind === "send_timeout" || kind === "read_timeout";
    this.#found(node, timedOut ? "timeout" : "tcp_failure", tenant);
  }

  #found(node: Node, finding: Finding, tenant: string | undefined): void {
    if (!this.#passive) return;
    if (tenant === undefined) this.#counters.get(node)?.report(finding, this.#passive);
    else this.#upstream.tenantHealth.report(tenant, node, finding, this.#passive);
  }

  close(): void {
    for (const timer of this.#timers) clearInterval(timer);
  }

  #every(seconds: number, concerns: (node: Node) => boolean): void {
    if (seconds <= 0) return;
    let busy = false;
    const round = async (): Promise<void> => {
      if (busy) return;
      busy = true;
      await this.#probeAll(this.#upstream.nodes.filter(concerns));
      busy = false;
    };
    // a round never rejects: what a probe finds is its result
    const timer = setInterval(() => void round(), seconds * 1000);
    timer.unref();
    this.#timers.push(timer);
  }

  /** So many at once as the settings say. */
  async #probeAll(nodes: readonly Node[]): Promise<void> {
    const waiting = [...nodes];
    const work = async (): Promise<void> => {
      for (let node = waiting.shift(); node; node = waiting.shift()) await this.#probe(node);
    };
    const workers = Math.min(this.#settings.active.concurrency, nodes.length);
    await Promise.all(Array.from({ length: workers }, work));
  }

  async #probe(node: Node): Promise<void> {
    const { active } = this.#settings;
    const finding = await this.#ask(node);
    if (!finding) return;
    const before = node.usable;
    this.#counters.get(node)?.report(finding, this.#active);
    if (finding === "success") this.#upstream.tenantHealth.passed(node, this.#active);
    if (before !== node.usable) {
      this.#ports.warn(`${node.address} of the upstream ${this.#upstream.id} is ${node.health} (${active.type} check: ${finding})`);
    }
  }

  async #ask(node: Node): Promise<Finding | undefined> {
    const { active } = this.#settings;
    try {
      const status = await this.#ports.probe({
        kind: active.type,
        host: node.host,
        port: active.port ?? node.port,
        method: active.http_method,
        path: active.http_path,
        body: active.http_req_body,
        headers: { host: active.host ?? node.authority, ...this.#headers },
        timeoutMs: active.timeout * 1000,
        verify: active.https_verify_certificate,
      });
      if (active.type === "tcp" || active.healthy.http_statuses.includes(status)) return "success";
      return active.unhealthy.http_statuses.includes(status) ? "http_failure" : undefined;
    } catch (error) {
      return toFault(error).code === "upstream_timeout" ? "timeout" : "tcp_failure";
    }
  }
}

interface LimitSettings {
  readonly healthy: { readonly successes: number };
  readonly unhealthy: { readonly http_failures: number; readonly tcp_failures: number; readonly timeouts: number };
}

function limitsOf({ healthy, unhealthy }: LimitSettings): FindingLimits {
  return {
    success: healthy.successes,
    http_failure: unhealthy.http_failures,
    tcp_failure: unhealthy.tcp_failures,
    timeout: unhealthy.timeouts,
  };
}

function splitField(line: string): readonly [string, string] {
  const colon = line.indexOf(":");
  return [line.slice(0, colon).trim().toLowerCase(), line.slice(colon + 1).trim()];
}
