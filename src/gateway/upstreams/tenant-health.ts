import { BoundedMap } from "../../kernel/index.ts";
import type { Node, NodeHealth } from "./node.ts";
import { type Finding, type FindingLimits, NodeCounters } from "./node-counters.ts";

/** Tenants per node whose opinion is not that it is well. One that was pushed out finds out again. */
const TENANTS_MAX = 10_000;

/** What the requests of one tenant say of one node. */
class Opinion {
  health: NodeHealth = "healthy";
  readonly counters = new NodeCounters(this);

  get usable(): boolean {
    return this.health === "healthy" || this.health === "mostly_healthy";
  }
}

/**
 * What requests have come to at the nodes of one upstream, for each tenant by itself: whoever provokes errors takes a node from nobody else.
 * Only doubts are kept, so that memory grows with tenants that meet failures, up to a bound.
 */
export class TenantHealth {
  readonly #byNode = new Map<Node, BoundedMap<string, Opinion>>();

  usable(tenant: string, node: Node): boolean {
    return this.#byNode.get(node)?.peek(tenant)?.usable !== false;
  }

  /** Whether any tenant's requests keep away from it. */
  isAvoided(node: Node): boolean {
    for (const [, opinion] of this.#byNode.get(node)?.entries() ?? []) if (!opinion.usable) return true;
    return false;
  }

  /** A request of the tenant has found this. */
  report(tenant: string, node: Node, finding: Finding, limits: FindingLimits): void {
    const known = this.#byNode.get(node)?.get(tenant);
    if (known) this.#count(tenant, node, known, finding, limits);
    else if (finding !== "success" && limits[finding] > 0) this.#count(tenant, node, this.#begin(tenant, node), finding, limits);
  }

  /** A check of the gateway's own has found the node well, which counts for every tenant. */
  passed(node: Node, limits: FindingLimits): void {
    for (const [tenant, opinion] of this.#byNode.get(node)?.entries() ?? []) this.#count(tenant, node, opinion, "success", limits);
  }

  #count(tenant: string, node: Node, opinion: Opinion, finding: Finding, limits: FindingLimits): void {
    opinion.counters.report(finding, limits);
    if (opinion.health === "healthy") this.#byNode.get(node)?.delete(tenant);
  }

  #begin(tenant: string, node: Node): Opinion {
    const opinions = this.#byNode.get(node) ?? new BoundedMap(TENANTS_MAX);
    this.#byNode.set(node, opinions);
    const opinion = new Opinion();
    opinions.set(tenant, opinion);
    return opinion;
  }
}
