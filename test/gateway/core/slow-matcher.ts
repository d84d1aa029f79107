import type { MatchRule } from "../../../src/gateway/routing/matcher.ts";

/** A request that is to be matched. */
export interface Asked {
  readonly method: string;
  readonly host: string | undefined;
  readonly path: string;
  readonly tenant: string | undefined;
}

/** The order in which routes are tried, said once more without any index: every route and path is looked at for every request. */
export function slowMatch(rules: readonly MatchRule<string>[], asked: Asked): string | undefined {
  const tries = rules.flatMap((rule, order) =>
    (rule.hosts.length === 0 ? [undefined] : rule.hosts).flatMap((host) =>
      rule.paths.map((path, place) => ({ rule, host, path, order, place })),
    ),
  );
  const fitting = tries.filter(({ rule, host, path }) => fitsHost(host, asked.host) && fitsPath(path, asked.path) && fitsRest(rule, asked));
  fitting.sort(
    (a, b) =>
      hostRank(b.host) - hostRank(a.host) ||
      pathRank(b.path) - pathRank(a.path) ||
      b.rule.priority - a.rule.priority ||
      namedParts(b.path) - namedParts(a.path) ||
      a.order - b.order,
  );
  return fitting[0]?.rule.value;
}

function fitsRest({ methods, vars }: MatchRule<string>, { method, tenant }: Asked): boolean {
  const source = { variable: (name: string) => (name === "tenant_id" ? tenant : undefined) };
  return (!methods || methods.has(method)) && (!vars || vars.holds(source));
}

function fitsHost(pattern: string | undefined, host: string | undefined): boolean {
  if (pattern === undefined) return true;
  if (host === undefined) return false;
  return pattern.startsWith("*") ? host.endsWith(pattern.slice(1)) : host === pattern;
}

function hostRank(pattern: string | undefined): number {
  if (pattern === undefined) return -1;
  return pattern.startsWith("*") ? pattern.length : 1_000;
}

function fitsPath(pattern: string, path: string): boolean {
  if (pattern.includes("/:")) {
    const source = pattern.replaceAll(/[.+]/g, String.raw`\$&`).replaceAll(/:[a-z]+/g, "[^/]+");
    return new RegExp(`^${source}$`).test(path);
  }
  return pattern.endsWith("*") ? path.startsWith(pattern.slice(0, -1)) : path === pattern;
}

/** Exact before any prefix, and prefixes by the length of what is literal in front. */
function pathRank(pattern: string): number {
  if (pattern.includes("/:")) return pattern.indexOf("/:") + 1;
  return pattern.endsWith("*") ? pattern.length - 1 : 1_000;
}

function namedParts(pattern: string): number {
  return pattern.includes("/:") ? pattern.slice(pattern.indexOf("/:") + 1).split("/").length : 0;
}
