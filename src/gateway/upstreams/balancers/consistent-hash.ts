import { crc32 } from "node:zlib";
import type { Node } from "../node.ts";
import type { Balancer, Choice } from "./balancer.ts";

const POINTS_PER_WEIGHT = 160;

/**
 * The ketama ring as nginx builds it: 160 points for each part of a node's weight, so that a node that comes or goes moves only its share of
 * the keys. The ring does not change with health: a node that may not be taken is passed over.
 */
export class ConsistentHash implements Balancer {
  readonly #hashes: Uint32Array;
  readonly #owners: readonly Node[];
  readonly #nodes: number;
  readonly #keyOf: (choice: Choice) => string;

  constructor(nodes: readonly Node[], keyOf: (choice: Choice) => string) {
    const step = nodes.reduce((divisor, { weight }) => greatestCommonDivisor(divisor, weight), 0) || 1;
    const points = nodes.flatMap((node) => pointsOf(node, (node.weight / step) * POINTS_PER_WEIGHT));
    points.sort((a, b) => a.hash - b.hash);
    this.#hashes = Uint32Array.from(points, ({ hash }) => hash);
    this.#owners = points.map(({ node }) => node);
    this.#nodes = nodes.length;
    this.#keyOf = keyOf;
  }

  pick(choice: Choice): Node | undefined {
    const { length } = this.#hashes;
    let at = this.#first(crc32(this.#keyOf(choice)));
    const refused = new Set<Node>();
    for (let step = 0; step < length && refused.size < this.#nodes; step++, at++) {
      const node = this.#owners[at % length];
      if (!node || refused.has(node)) continue;
      if (choice.allows(node)) return node;
      refused.add(node);
    }
    return undefined;
  }

  /** The first point at or after the hash. */
  #first(hash: number): number {
    let low = 0;
    let high = this.#hashes.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#hashes[middle] ?? 0) < hash) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

function pointsOf(node: Node, count: number): { hash: number; node: Node }[] {
  const base = crc32(`${node.host}\0${node.port}`);
  const previous = Buffer.alloc(4);
  return Array.from({ length: count }, () => {
    const hash = crc32(previous, base);
    previous.writeUInt32LE(hash);
    return { hash, node };
  });
}

function greatestCommonDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestCommonDivisor(b, a % b);
}
