import { parseCredentialId } from "./document-items.ts";
import { toId } from "./object-checks.ts";
import { isRecord } from "./schema/compiler.ts";
import { isKind, KINDS, MAPPINGS } from "./schemas/kinds.ts";

/** A whole document as it is written, before it is read. */
export type SourceDocument = Readonly<Record<string, unknown>>;

/** The one part that is neither a list nor a mapping: it is kept as a whole, under this id. */
const PLUGIN_LIST = "plugins";
const WHOLE = "list";

/** One object of a document by kind and id. A credential's id is `<username>/credentials/<id>`. */
export interface SourceObject {
  readonly kind: string;
  readonly id: string;
  readonly value: unknown;
}

/** One object by name: kinds have no spaces, so two names are the same for the same object only. */
export function nameOf({ kind, id }: Pick<SourceObject, "kind" | "id">): string {
  return `${kind} ${id}`;
}

/** The id of an entry of a list: its own, or the username of a consumer. */
function sourceIdOf(kind: string, value: unknown): string | undefined {
  if (!isRecord(value)) return undefined;
  if (kind === "consumers" && !parseCredentialId(value["id"])) return toId(value["username"]);
  return toId(value["id"]);
}

/** The objects of a document. An entry without an id gets one by its position, as its reader would give it. */
export function splitDocument(document: SourceDocument): SourceObject[] {
  const objects: SourceObject[] = [];
  for (const kind of KINDS) {
    const list = document[kind];
    if (!Array.isArray(list)) continue;
    for (const [at, value] of list.entries()) {
      const id = sourceIdOf(kind, value) ?? `arr_${at + 1}`;
      objects.push({ kind, id, value: isRecord(value) && kind !== "consumers" ? { ...value, id } : value });
    }
  }
  for (const kind of MAPPINGS) {
    const lines = document[kind];
    if (isRecord(lines)) for (const [id, value] of Object.entries(lines)) objects.push({ kind, id, value: value ?? {} });
  }
  if (document[PLUGIN_LIST] !== undefined) objects.push({ kind: PLUGIN_LIST, id: WHOLE, value: document[PLUGIN_LIST] });
  return objects;
}

/** A document of the file's parts and the stored objects. Of an id that both have the file's is taken; those of the store are named. */
export function mergeDocuments(
  file: SourceDocument,
  stored: readonly SourceObject[],
): { readonly document: SourceDocument; readonly hidden: readonly string[] } {
  const taken = new Set(splitDocument(file).map(nameOf));
  const document: Record<string, unknown> = { ...file };
  const hidden: string[] = [];
  const own = new Set<string>();
  for (const object of stored) {
    if (taken.has(nameOf(object))) hidden.push(nameOf(object));
    else add(document, object, own);
  }
  return { document, hidden };
}

/** Puts an object into its part, which is copied before it is first changed (`own`): the file's stay as they are. */
function add(document: Record<string, unknown>, { kind, id, value }: SourceObject, own: Set<string>): void {
  const part = document[kind];
  if (kind === PLUGIN_LIST) document[kind] = value;
  else if (MAPPINGS.some((each) => each === kind)) {
    if (!own.has(kind)) document[kind] = { ...(isRecord(part) && part) };
    (document[kind] as Record<string, unknown>)[id] = value; // made above
  } else if (isKind(kind)) {
    if (!own.has(kind)) document[kind] = Array.isArray(part) ? [...(part as unknown[])] : [];
    (document[kind] as unknown[]).push(value); // made above
  }
  own.add(kind);
}
