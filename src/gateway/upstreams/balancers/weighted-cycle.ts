import type { Random } from "../../../kernel/index.ts";

/** The classic weighted cycle: in steps of the greatest common divisor from the highest weight down, every item that reaches the step. It starts anywhere. */
export class WeightedCycle<Item extends { readonly weight: number }> {
  readonly #items: readonly Item[];
  readonly #step: number;
  readonly #highest: number;
  #index: number;
  #level: number;

  /** Items of weight 0 are not among them. */
  constructor(items: readonly Item[], random: Random) {
    this.#items = items;
    this.#step = items.reduce((divisor, { weight }) => greatestCommonDivisor(divisor, weight), 0) || 1;
    this.#highest = Math.max(1, ...items.map(({ weight }) => weight));
    this.#level = this.#highest;
    // several gateways and reloads must not all begin at the same item
    this.#index = items.length < 2 ? 0 : random.bytes(4).readUInt32LE() % items.length;
  }

  /** The next item that is allowed, if any is. */
  next(choice: { allows(item: Item): boolean }): Item | undefined {
    const items = this.#items;
    // one whole cycle and the levels in it that nobody reaches
    const levels = this.#highest / this.#step + 1;
    for (let tries = items.length * levels; tries > 0; tries--) {
      const item = items[this.#index];
      const level = this.#level;
      this.#advance();
      if (item && item.weight >= level && choice.allows(item)) return item;
    }
    return undefined;
  }

  #advance(): void {
    if (++this.#index < this.#items.length) return;
    this.#index = 0;
    this.#level -= this.#step;
    if (this.#level <= 0) this.#level = this.#highest;
  }
}

function greatestCommonDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestCommonDivisor(b, a % b);
}
