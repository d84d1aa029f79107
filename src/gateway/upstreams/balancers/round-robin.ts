import type { Random } from "../../../kernel/index.ts";
import type { Node } from "../node.ts";
import type { Balancer, Choice } from "./balancer.ts";
import { WeightedCycle } from "./weighted-cycle.ts";

/** The nodes in turn, by weight. */
export class RoundRobin implements Balancer {
  readonly #cycle: WeightedCycle<Node>;

  constructor(nodes: readonly Node[], random: Random) {
    this.#cycle = new WeightedCycle(nodes, random);
  }

  pick(choice: Choice): Node | undefined {
    return this.#cycle.next(choice);
  }
}
