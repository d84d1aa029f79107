import type { NodeHealth } from "./node.ts";

/** What a check or a request has found. */
export type Finding = "success" | "http_failure" | "tcp_failure" | "timeout";

/** After how many findings in a row the opinion changes; 0 never. */
export type FindingLimits = Readonly<Record<Finding, number>>;

const FAILURES: readonly Finding[] = ["http_failure", "tcp_failure", "timeout"];

/** A node, or somebody's opinion of it. */
export interface Judged {
  health: NodeHealth;
  readonly usable: boolean;
}

/** Counts what is found about one node and sets its health. A success clears the failures and the other way round; what confirms the present opinion is not counted. */
export class NodeCounters {
  readonly #node: Judged;
  readonly #counts: Record<Finding, number> = { success: 0, http_failure: 0, tcp_failure: 0, timeout: 0 };

  constructor(node: Judged) {
    this.#node = node;
  }

  report(finding: Finding, limits: FindingLimits): void {
    const limit = limits[finding];
    const node = this.#node;
    const isGood = finding === "success";
    if (limit === 0 || node.health === (isGood ? "healthy" : "unhealthy")) return;
    this.#counts[finding]++;
    for (const other of isGood ? FAILURES : (["success"] as const)) this.#counts[other] = 0;
    if (this.#counts[finding] >= limit) {
      this.#counts[finding] = 0;
      node.health = isGood ? "healthy" : "unhealthy";
      if (!isGood) for (const other of FAILURES) this.#counts[other] = 0;
      return;
    }
    node.health = node.usable ? "mostly_healthy" : "mostly_unhealthy";
  }
}
