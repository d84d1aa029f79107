import type { DocumentVerdict } from "./document-work.ts";
import type { FittedDocument } from "./fit-stored.ts";
import type { GatewayDocument } from "./objects.ts";
import { KINDS, MAPPINGS } from "./schemas/kinds.ts";

/** A value in pieces that are small enough to be taken in one at a time: what is not a list, and lists by name. */
export interface Pieces {
  readonly rest: unknown;
  readonly lists: readonly (readonly [name: string, items: readonly unknown[]])[];
}

/** Items of one piece: of tenants, a millisecond's work. */
export const PIECE_ITEMS = 200;

/** Parts of a document that are maps by id: all that are no list. */
const MAPS = [...KINDS.filter((kind) => kind !== "routes"), ...MAPPINGS] satisfies readonly (keyof GatewayDocument)[];
const TEXTS = ["warnings", "refused", "doubts", "hidden"] as const satisfies readonly (keyof DocumentVerdict)[];

/** A verdict in pieces. */
export function verdictToPieces(verdict: DocumentVerdict): Pieces {
  return { rest: undefined, lists: [...TEXTS.map((name) => [name, verdict[name]] as const), ["leftOut", [...verdict.leftOut]]] };
}

/** A document with its verdict in pieces. */
export function fittedToPieces(fitted: FittedDocument): Pieces {
  const { document } = fitted;
  const maps = MAPS.map((name) => [name, [...document[name]]] as const);
  return { rest: document.plugins, lists: [...verdictToPieces(fitted).lists, ["routes", document.routes], ...maps] };
}

/** Puts pieces together as they come, so that nothing is left to do at the end. */
export class Assembly {
  readonly #lists = new Map<string, unknown[] | Map<unknown, unknown>>();

  add(name: string, items: readonly unknown[]): void {
    const list = this.#lists.get(name) ?? (isMap(name) ? new Map<unknown, unknown>() : []);
    this.#lists.set(name, list);
    if (Array.isArray(list)) for (const item of items) list.push(item);
    else for (const [key, value] of items as [unknown, unknown][]) list.set(key, value); // entries of a map, as they were taken apart
  }

  list(name: string): readonly unknown[] {
    return (this.#lists.get(name) ?? []) as unknown[]; // no name of a map
  }

  verdict(): DocumentVerdict {
    const texts = Object.fromEntries(TEXTS.map((name) => [name, this.list(name)]));
    return { ...texts, leftOut: this.#map("leftOut") } as unknown as DocumentVerdict; // as it was taken apart
  }

  fitted(plugins: unknown): FittedDocument {
    const maps = Object.fromEntries(MAPS.map((name) => [name, this.#map(name)]));
    const document = { ...maps, routes: this.list("routes"), plugins } as unknown as GatewayDocument; // as it was taken apart
    return { ...this.verdict(), document };
  }

  #map(name: string): Map<unknown, unknown> {
    return (this.#lists.get(name) ?? new Map()) as Map<unknown, unknown>; // a name of a map
  }
}

function isMap(name: string): boolean {
  return name === "leftOut" || MAPS.some((each) => each === name);
}
