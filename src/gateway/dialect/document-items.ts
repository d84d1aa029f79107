import type { Findings } from "./findings.ts";
import { type ObjectChecks, type ObjectKind, toId } from "./object-checks.ts";
import { entryOf, partOf, type Place } from "./place.ts";
import { resolveReferences } from "./references.ts";
import { isRecord } from "./schema/compiler.ts";
import type { Kind } from "./schemas/kinds.ts";

/** An object of a document that was found to be right, with its place for messages. */
export interface Item {
  readonly kind: ObjectKind;
  readonly id: string;
  readonly place: Place;
  readonly object: Readonly<Record<string, unknown>>;
}

/** What proves somebody is of no use as the text of a reference, also where the dialect takes that for what it stands for. */
const SECRET_KINDS: ReadonlySet<Kind> = new Set(["consumers", "ssls"]);
const CREDENTIAL_ID = /^([A-Za-z0-9_-]{1,256})\/credentials\/([a-zA-Z0-9-_.]{1,64})$/;

/** The consumer and the id that a credential's id is made of; undefined for any other id. */
export function parseCredentialId(id: unknown): { readonly username: string; readonly id: string } | undefined {
  const found = typeof id === "string" ? CREDENTIAL_ID.exec(id) : undefined;
  return found ? { username: found[1] ?? "", id: found[2] ?? "" } : undefined;
}

/** The objects of one list, in order, each once: of two with the same id the later one counts, where the profile allows two. */
export function readItems(
  kind: Kind,
  list: unknown,
  checks: ObjectChecks,
  findings: Findings,
  variable: (name: string) => string | undefined,
): Map<string, Item> {
  const items = new Map<string, Item>();
  if (list === undefined || list === null) return items;
  if (!Array.isArray(list)) {
    findings.refuse(partOf(kind), "must be a list");
    return items;
  }
  for (const [at, value] of list.entries()) {
    const item = readItem(kind, at, value, checks, findings, variable);
    if (!item) continue;
    if (items.has(item.id)) findings.doubt(item.place, "has the id of another, and the later of the two counts", items.get(item.id)?.place);
    items.delete(item.id); // the later one also stands in the later place
    items.set(item.id, item);
  }
  return items;
}

function readItem(
  kind: Kind,
  at: number,
  value: unknown,
  checks: ObjectChecks,
  findings: Findings,
  variable: (name: string) => string | undefined,
): Item | undefined {
  if (!isRecord(value)) {
    findings.refuse({ ...partOf(kind), text: `${kind}[${at}]` }, "must be an object");
    return undefined;
  }
  const credential = kind === "consumers" ? parseCredentialId(value["id"]) : undefined;
  const id = toId(kind === "consumers" && !credential ? value["username"] : value["id"]) ?? `arr_${at + 1}`;
  const place = entryOf(kind, at, id);
  const { value: object, unresolved } = resolveReferences(value, variable);
  if (!isRecord(object)) return undefined;
  if (unresolved.length > 0 && (checks.plugins.profile === "strict" || SECRET_KINDS.has(kind))) {
    findings.postpone(place, `${unresolved.join(", ")} cannot be resolved`);
    return undefined;
  }
  if (unresolved.length > 0) findings.warn(place, `${unresolved.join(", ")} cannot be resolved and is taken as it stands`);
  object["id"] = credential ? credential.id : id;
  const objectKind = credential ? "credential" : kind;
  const wrong = checks.check(objectKind, object);
  if (wrong !== undefined) {
    findings.refuse(place, wrong);
    return undefined;
  }
  return { kind: objectKind, id, place, object };
}
