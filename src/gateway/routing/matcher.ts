import type { AddressMatcher } from "./addresses.ts";
import type { Expression } from "./expression.ts";
import { type PathParameters, PathTree } from "./path-tree.ts";
import type { VariableSource } from "./variable-source.ts";

/** A request as the matcher sees it. */
export interface MatchRequest extends VariableSource {
  readonly method: string;
  /** Lower case, without port. */
  readonly host: string | undefined;
  /** Normalised. */
  readonly path: string;
  readonly remoteAddress: string;
  /** The named parts of the path, while a route is tried and when it is matched. */
  pathParameters: PathParameters | undefined;
}

/** What a route asks of a request. */
export interface MatchRule<T> {
  readonly value: T;
  readonly paths: readonly string[];
  /** Lower case; `*` in front stands for any beginning. None is any host. */
  readonly hosts: readonly string[];
  readonly methods: ReadonlySet<string> | undefined;
  readonly addresses: AddressMatcher | undefined;
  readonly vars: Expression | undefined;
  readonly priority: number;
}

/**
 * Finds the route of a request. Groups of hosts first: an exact host, then the longest suffix, then routes without host; inside a group as
 * {@link PathTree} says. A route whose other conditions fail makes room for the next best, so host beats path beats priority.
 */
export class RouteMatcher<T> {
  readonly #exact = new Map<string, PathTree<MatchRule<T>>>();
  readonly #suffixes = new Map<string, PathTree<MatchRule<T>>>();
  /** Longest first. */
  #suffixLengths: readonly number[] = [];
  readonly #anyHost = new PathTree<MatchRule<T>>();

  constructor(rules: readonly MatchRule<T>[] = []) {
    for (const rule of rules) this.add(rule);
  }

  add(rule: MatchRule<T>): void {
    for (const tree of this.#treesOf(rule.hosts)) {
      for (const path of rule.paths) tree.add(path, rule, rule.priority, rule.vars?.equalities);
    }
  }

  find(request: MatchRequest): T | undefined {
    const accept = (rule: MatchRule<T>, parameters: PathParameters | undefined): boolean => accepts(rule, parameters, request);
    return (this.#findByHost(request, accept) ?? this.#anyHost.find(request.path, accept, request))?.value;
  }

  #findByHost(
    request: MatchRequest,
    accept: (rule: MatchRule<T>, parameters: PathParameters | undefined) => boolean,
  ): MatchRule<T> | undefined {
    const { host, path } = request;
    if (host === undefined) return undefined;
    const exact = this.#exact.get(host)?.find(path, accept, request);
    if (exact) return exact;
    for (const length of this.#suffixLengths) {
      if (length > host.length) continue;
      const found = this.#suffixes.get(host.slice(host.length - length))?.find(path, accept, request);
      if (found) return found;
    }
    return undefined;
  }

  #treesOf(hosts: readonly string[]): readonly PathTree<MatchRule<T>>[] {
    if (hosts.length === 0) return [this.#anyHost];
    return hosts.map((host) => {
      const isSuffix = host.startsWith("*");
      const trees = isSuffix ? this.#suffixes : this.#exact;
      const key = isSuffix ? host.slice(1) : host;
      const known = trees.get(key) ?? new PathTree<MatchRule<T>>();
      trees.set(key, known);
      if (isSuffix && !this.#suffixLengths.includes(key.length))
        this.#suffixLengths = [...this.#suffixLengths, key.length].toSorted((a, b) => b - a);
      return known;
    });
  }
}

function accepts<T>(rule: MatchRule<T>, parameters: PathParameters | undefined, request: MatchRequest): boolean {
  if (rule.methods && !rule.methods.has(request.method)) return false;
  if (rule.addresses && !rule.addresses(request.remoteAddress)) return false;
  request.pathParameters = parameters;
  return rule.vars === undefined || rule.vars.holds(request);
}
