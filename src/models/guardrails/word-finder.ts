import type { Turns } from "../../kernel/index.ts";

/** How much is looked at before others may have their turn. */
const STRETCH = 16 * 1024;
const CODES = 0x1_0000;

/**
 * Finds any of many words in one pass over a text, whatever the text and the words are (Aho and Corasick). A word is found whole: letters, digits and
 * `_` of ASCII at its ends have none of their kind beside them.
 */
export class WordFinder {
  /** From a node by a code to the next one. The root is 0. */
  readonly #edges = new Map<number, number>();
  /** The node of the longest ending of this one that is a beginning of a word. */
  readonly #fallbacks: number[] = [0];
  /** The length of the word that ends here; 0 where none does. */
  readonly #lengths: number[] = [0];
  /** The nearest fallback at which a word ends; 0 is none. */
  readonly #shorter: number[] = [0];

  constructor(words: Iterable<string>) {
    for (const word of words) this.#add(word);
    // a map keeps the order in which edges were added, but fallbacks need those of shorter beginnings first
    let level: [from: number, code: number, to: number][] = [];
    const byNode = Map.groupBy(this.#edges, ([key]) => Math.floor(key / CODES));
    const edgesOf = (node: number): typeof level => (byNode.get(node) ?? []).map(([key, to]) => [node, key % CODES, to]);
    for (level = edgesOf(0); level.length > 0; level = level.flatMap(([, , to]) => edgesOf(to))) {
      for (const [from, code, to] of level) {
        const fallback = from === 0 ? 0 : this.#next(this.#fallbacks[from] ?? 0, code);
        this.#fallbacks[to] = fallback;
        this.#shorter[to] = this.#lengths[fallback] ? fallback : (this.#shorter[fallback] ?? 0);
      }
    }
  }

  /** Whether one of the words is in the text. */
  async isIn(text: string, turns: Turns): Promise<boolean> {
    let node = 0;
    for (let from = 0; from < text.length; from += STRETCH) {
      const end = Math.min(text.length, from + STRETCH);
      for (let at = from; at < end; at++) {
        node = this.#next(node, text.charCodeAt(at));
        if (node !== 0 && this.#endsAt(text, at + 1, node)) return true;
      }
      await turns.give();
    }
    return false;
  }

  #add(word: string): void {
    let node = 0;
    for (let at = 0; at < word.length; at++) {
      const key = node * CODES + word.charCodeAt(at);
      let next = this.#edges.get(key);
      if (next === undefined) {
        next = this.#lengths.push(0) - 1;
        this.#edges.set(key, next);
      }
      node = next;
    }
    this.#lengths[node] = word.length;
  }

  #next(from: number, code: number): number {
    for (let node = from; ; node = this.#fallbacks[node] ?? 0) {
      const next = this.#edges.get(node * CODES + code);
      if (next !== undefined) return next;
      if (node === 0) return 0;
    }
  }

  #endsAt(text: string, end: number, ending: number): boolean {
    const first = this.#lengths[ending] ? ending : (this.#shorter[ending] ?? 0);
    if (first === 0 || isInside(text, end)) return false;
    for (let node = first; node !== 0; node = this.#shorter[node] ?? 0) if (!isInside(text, end - (this.#lengths[node] ?? 0))) return true;
    return false;
  }
}

/** Whether a word of ASCII goes on over this place. */
function isInside(text: string, at: number): boolean {
  return isWordCode(text.charCodeAt(at - 1)) && isWordCode(text.charCodeAt(at));
}

function isWordCode(code: number): boolean {
  return (code >= 0x30 && code <= 0x39) || (code >= 0x41 && code <= 0x5a) || code === 0x5f || (code >= 0x61 && code <= 0x7a);
}
