/** Where something stands in a document: which object it is of, and how that is said. */
export interface Place {
  readonly kind: string;
  /** Undefined for a part of the document as a whole. */
  readonly id: string | undefined;
  readonly text: string;
}

/** The place of a part as a whole. */
export function partOf(kind: string): Place {
  return { kind, id: undefined, text: kind };
}

/** The place of an entry of a list. */
export function entryOf(kind: string, at: number, id: string): Place {
  return { kind, id, text: `${kind}[${at}] (id ${id})` };
}

/** The place of a line of a mapping. */
export function lineOf(kind: string, id: string): Place {
  return { kind, id, text: `${kind}.${id}` };
}
