import type { Random } from "../../../kernel/index.ts";
import type { Node } from "../node.ts";
import type { Balancer, Choice } from "./balancer.ts";

/** The classic weighted cycle: in steps of the greatest common divisor from the highest weight down, every node that reaches the step. It starts anywhere. */
export class RoundRobin implements Balancer {
  readonly #nodes: readonly Node[];
  readonly #step: number;
  readonly #highest: number;
  #index: number;
  #level: number;

  constructor(nodes: readonly Node[], random: Random) {
    this.#nodes = nodes;
    this.#step = nodes.reduce((divisor, { weight }) => greatestCommonDivisor(divisor, weight), 0) || 1;
    this.#highest = Math.max(1, ...nodes.map(({ weight }) => weight));
    this.#level = this.#highest;
    // several gateways and reloads must not all begin at the same node
    this.#index = nodes.length < 2 ? 0 : random.bytes(4).readUInt32LE() % nodes.length;
  }

  pick(choice: Choice): Node | undefined {
    const nodes = this.#nodes;
    // one whole cycle and the levels in it that nobody reaches
    const levels = this.#highest / this.#step + 1;
    for (let tries = nodes.length * levels; tries > 0; tries--) {
      const node = nodes[this.#index];
      const level = this.#level;
      this.#advance();
      if (node && node.weight >= level && choice.allows(node)) return node;
    }
    return undefined;
  }

  #advance(): void {
    if (++this.#index < this.#nodes.length) return;
    this.#index = 0;
    this.#level -= this.#step;
    if (this.#level <= 0) this.#level = this.#highest;
  }
}

function greatestCommonDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestCommonDivisor(b, a % b);
}
