import type { Node } from "../node.ts";
import type { Balancer, Choice } from "./balancer.ts";

/** Milliseconds in which an old latency fades to a third. */
const DECAY_MS = 10_000;

interface Latency {
  readonly ms: number;
  readonly seenMs: number;
}

/** Of two nodes taken at random the one that answered faster lately, by a mean that forgets. */
export class Ewma implements Balancer {
  readonly #nodes: readonly Node[];
  readonly #latencies = new Map<Node, Latency>();

  constructor(nodes: readonly Node[]) {
    this.#nodes = nodes;
  }

  pick(choice: Choice): Node | undefined {
    const allowed = this.#nodes.filter((node) => choice.allows(node));
    if (allowed.length < 2) return allowed[0];
    const bytes = choice.random.bytes(4);
    const first = bytes.readUInt16LE(0) % allowed.length;
    const second = (first + 1 + (bytes.readUInt16LE(2) % (allowed.length - 1))) % allowed.length;
    const [a, b] = [allowed[first], allowed[second]];
    if (!a || !b) return a;
    return this.#decayed(a, choice.nowMs) <= this.#decayed(b, choice.nowMs) ? a : b;
  }

  answered(node: Node, ms: number, nowMs: number): void {
    const known = this.#latencies.get(node);
    const kept = known ? Math.exp((known.seenMs - nowMs) / DECAY_MS) : 0;
    this.#latencies.set(node, { ms: (known?.ms ?? 0) * kept + ms * (1 - kept), seenMs: nowMs });
  }

  #decayed(node: Node, nowMs: number): number {
    const known = this.#latencies.get(node);
    return known ? known.ms * Math.exp((known.seenMs - nowMs) / DECAY_MS) : 0;
  }
}
