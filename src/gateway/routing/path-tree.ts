import { Candidates, type Equality } from "./candidates.ts";
import type { VariableSource } from "./variable-source.ts";

/** One segment of a pattern after its literal prefix. */
export type NamedPart =
  | { readonly kind: "literal"; readonly text: string }
  /** `:name`: one whole segment that is not empty. */
  | { readonly kind: "name"; readonly name: string }
  /** `*name` or `*`, last: everything that is left. */
  | { readonly kind: "rest"; readonly name: string | undefined };

/** Values of the named parts of a pattern. */
export type PathParameters = ReadonlyMap<string, string>;

/** Whether this one is taken; otherwise the next best is tried. */
export type Accept<T> = (value: T, parameters: PathParameters | undefined) => boolean;

/** What is filed under a pattern. */
interface Filed<T> {
  readonly value: T;
  /** The part of the pattern after its literal prefix, for patterns with named parts. */
  readonly parts: readonly NamedPart[] | undefined;
}

/**
 * Values by path pattern: a plain one is that path, a star at its end everything that begins so, and `:name` or, last, `*name` at the
 * beginning of a segment names that part of the path.
 * Exact paths come before prefixes, longer prefixes before shorter ones, and only under one and the same path string priority decides.
 * The work of a look-up depends on the length of the path, not on how many patterns there are.
 */
export class PathTree<T> {
  readonly #exact = new Map<string, Candidates<Filed<T>>>();
  readonly #root = new Node<T>("");
  #order = 0;

  add(pattern: string, value: T, priority: number, equalities: readonly Equality[] = []): void {
    const { prefix, parts, exact } = parsePattern(pattern);
    const candidate = { value: { value, parts }, priority, weight: parts?.length ?? 0, order: this.#order++, equalities };
    if (!exact) {
      nodeFor(this.#root, prefix).candidates.add(candidate);
      return;
    }
    const known = this.#exact.get(prefix) ?? new Candidates<Filed<T>>();
    this.#exact.set(prefix, known);
    known.add(candidate);
  }

  /** The best value under this path that is accepted. */
  find(path: string, accept: Accept<T>, source: VariableSource): T | undefined {
    const exact = this.#exact.get(path)?.find(({ value }) => accept(value, undefined), source);
    return exact ? exact.value : findPrefix(this.#root, path, 0, accept, source)?.value;
  }
}

/** A node of the radix tree of literal prefixes. */
class Node<T> {
  label: string;
  readonly candidates = new Candidates<Filed<T>>();
  readonly children = new Map<number, Node<T>>();

  constructor(label: string) {
    this.label = label;
  }
}

const COLON = 0x3a;
const STAR = 0x2a;

function parsePattern(pattern: string): { prefix: string; parts: readonly NamedPart[] | undefined; exact: boolean } {
  const start = namedStart(pattern);
  if (start === -1) {
    const isPrefix = pattern.endsWith("*");
    return { prefix: isPrefix ? pattern.slice(0, -1) : pattern, parts: undefined, exact: !isPrefix };
  }
  const parts = pattern.slice(start).split("/").map(toPart);
  return { prefix: pattern.slice(0, start), parts, exact: false };
}

/** Where the first `:name` or `*name` begins, which is always at the beginning of a segment; -1 for none. */
function namedStart(pattern: string): number {
  for (let i = 1; i < pattern.length - 1; i++) {
    const c = pattern.charCodeAt(i);
    if ((c === COLON || c === STAR) && pattern[i - 1] === "/" && pattern[i + 1] !== "/") return i;
  }
  return -1;
}

function toPart(segment: string, index: number, all: readonly string[]): NamedPart {
  if (segment.startsWith(":") && segment.length > 1) return { kind: "name", name: segment.slice(1) };
  if (segment.startsWith("*") && index === all.length - 1) {
    return { kind: "rest", name: segment.length > 1 ? segment.slice(1) : undefined };
  }
  return { kind: "literal", text: segment };
}

/** The node of this prefix, which is made where there is none. */
function nodeFor<T>(root: Node<T>, prefix: string): Node<T> {
  let node = root;
  let at = 0;
  while (at < prefix.length) {
    const first = prefix.charCodeAt(at);
    const child = node.children.get(first);
    if (!child) {
      const leaf = new Node<T>(prefix.slice(at));
      node.children.set(first, leaf);
      return leaf;
    }
    const common = commonLength(child.label, prefix, at);
    if (common < child.label.length) split(node, child, common);
    node = node.children.get(first) ?? child;
    at += common;
  }
  return node;
}

/** Puts a node for the first `length` characters of the child's label between the two. */
function split<T>(parent: Node<T>, child: Node<T>, length: number): void {
  const between = new Node<T>(child.label.slice(0, length));
  child.label = child.label.slice(length);
  between.children.set(child.label.charCodeAt(0), child);
  parent.children.set(between.label.charCodeAt(0), between);
}

function commonLength(label: string, text: string, from: number): number {
  const end = Math.min(label.length, text.length - from);
  let length = 0;
  while (length < end && label.charCodeAt(length) === text.charCodeAt(from + length)) length++;
  return length;
}

/** Depth first: what lies deeper has the longer prefix. The depth is bounded by the length of the path. */
function findPrefix<T>(node: Node<T>, path: string, at: number, accept: Accept<T>, source: VariableSource): Filed<T> | undefined {
  const child = at < path.length ? node.children.get(path.charCodeAt(at)) : undefined;
  if (child && path.startsWith(child.label, at)) {
    const deeper = findPrefix(child, path, at + child.label.length, accept, source);
    if (deeper !== undefined) return deeper;
  }
  if (node.candidates.isEmpty) return undefined;
  return node.candidates.find(({ value, parts }) => {
    const parameters = parts && matchParts(parts, path.slice(at));
    return parts && !parameters ? false : accept(value, parameters);
  }, source);
}

function matchParts(parts: readonly NamedPart[], text: string): PathParameters | undefined {
  const found = new Map<string, string>();
  let at = 0;
  for (const [index, part] of parts.entries()) {
    if (at > text.length) return undefined; // the path has fewer segments
    if (part.kind === "rest") {
      if (part.name !== undefined) found.set(part.name, text.slice(at));
      return found;
    }
    const slash = text.indexOf("/", at);
    const isLast = index === parts.length - 1;
    if (isLast && slash !== -1) return undefined;
    const segment = slash === -1 ? text.slice(at) : text.slice(at, slash);
    if (part.kind === "literal" ? segment !== part.text : segment === "") return undefined;
    if (part.kind === "name") found.set(part.name, segment);
    at += segment.length + 1;
  }
  return found;
}
