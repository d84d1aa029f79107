import type { GatewayObject } from "../../tenancy/registry/index.ts";
import type { Problem } from "./findings.ts";
import { type DocumentOptions, type ParsedDocument, readGatewayDocument } from "./parse-document.ts";
import type { Place } from "./place.ts";
import { resolveReferences } from "./references.ts";
import { mergeDocuments, nameOf, type SourceDocument } from "./source-document.ts";

/** An object as it is stored, or is to be. */
export type StoredObject = Pick<GatewayObject, "kind" | "id" | "value" | "unreadable">;

/** How a document of a file and stored objects is read. */
export interface FitOptions extends DocumentOptions {
  /** Variables that stored objects may use: whoever writes them must not read the environment of the process. */
  readonly storedVariable: (name: string) => string | undefined;
}

/** The document of the file and of those stored objects that fit beside it. */
export interface FittedDocument extends ParsedDocument {
  /** Stored objects that the file has too. */
  readonly hidden: readonly string[];
  /** Stored objects that are not served, by name (`routes 7`), and why. */
  readonly leftOut: ReadonlyMap<string, string>;
}

/**
 * Reads the file's document with the stored objects. A stored object that does not fit is left out by itself, with what then leads to
 * nothing; everything else is served. Throws `invalid_settings` for what is wrong with the file.
 */
export function fitStored(file: SourceDocument, stored: readonly StoredObject[], options: FitOptions): FittedDocument {
  const leftOut = new Map<string, string>();
  const objects = stored.flatMap((object) => {
    const { value, reason } = readStored(object, options);
    if (reason !== undefined) leftOut.set(nameOf(object), reason);
    return reason === undefined ? [{ ...object, value }] : [];
  });
  for (;;) {
    const kept = objects.filter((object) => !leftOut.has(nameOf(object)));
    const { document, hidden } = mergeDocuments(file, kept);
    const read = readGatewayDocument(document, options);
    const blamed = new Map<string, string>();
    const names = new Set(kept.map(nameOf));
    for (const name of hidden) names.delete(name);
    for (const problem of read.problems) {
      const name = blame(problem, names);
      if (name === undefined) read.settle(); // nothing stored is to blame: the file is
      else if (!blamed.has(name)) blamed.set(name, problem.text);
    }
    for (const [name, text] of blamed) leftOut.set(name, text);
    if (blamed.size === 0) return { ...read, warnings: [...read.warnings, ...sayLeftOut(leftOut)], hidden, leftOut };
  }
}

function readStored({ value, unreadable }: StoredObject, options: FitOptions): { readonly value: unknown; readonly reason?: string } {
  if (unreadable === true) return { value, reason: "what is stored cannot be opened: it was damaged, or sealed with another key" };
  const resolved = resolveReferences(value, options.storedVariable);
  const [first] = resolved.unresolved;
  if (first === undefined) return { value: resolved.value };
  return { value, reason: `${first} cannot be resolved: stored objects use variables of gateway.storedVariables only` };
}

/** The stored object that has to go: that which has the problem, else the other one that it takes. */
function blame({ place, other }: Problem, names: ReadonlySet<string>): string | undefined {
  return [place, ...(other ? [other] : [])].flatMap(namesAt).find((name) => names.has(name));
}

/** Names under which what stands at a place may be stored: tenants and plans are read as consumers and consumer groups. */
function namesAt({ kind, id }: Place): readonly string[] {
  if (id === undefined) return [];
  const [owner = id] = id.split("/", 1);
  const lines: Readonly<Record<string, readonly string[]>> = {
    consumers: [nameOf({ kind: "tenants", id: owner })],
    consumer_groups: [nameOf({ kind: "plans", id })],
    global_rules: id === "plugins" ? [nameOf({ kind: "plugins", id: "list" })] : [],
  };
  return [nameOf({ kind, id }), ...(lines[kind] ?? [])];
}

function sayLeftOut(leftOut: ReadonlyMap<string, string>): readonly string[] {
  return [...leftOut].map(([name, reason]) => `${name}, which is stored: ${reason}; it is left out`);
}
