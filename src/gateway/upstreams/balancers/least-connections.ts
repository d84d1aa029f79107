import type { Node } from "../node.ts";
import type { Balancer, Choice } from "./balancer.ts";

/** The node with the fewest requests under way for its weight; of equal ones the first. */
export class LeastConnections implements Balancer {
  readonly #nodes: readonly Node[];

  constructor(nodes: readonly Node[]) {
    this.#nodes = nodes;
  }

  pick(choice: Choice): Node | undefined {
    let best: Node | undefined;
    let bestScore = Infinity;
    for (const node of this.#nodes) {
      const score = (1 + node.busy) / node.weight;
      if (score >= bestScore || !choice.allows(node)) continue;
      best = node;
      bestScore = score;
    }
    return best;
  }
}
