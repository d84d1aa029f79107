const PLACE = "{tenant_id}";

/** Finds the tenant that a path names; undefined where the path is none of the pattern. */
export type PathPattern = (segments: readonly string[]) => string | undefined;

/** Compiles a pattern: parts between slashes are equal, a star at the end stands for any rest, also none. What is wrong with the pattern is a text. */
export function compilePathPattern(source: string): PathPattern | string {
  const parts = source.split("/").slice(1);
  const at = parts.indexOf(PLACE);
  if (!source.startsWith("/") || at === -1 || parts.lastIndexOf(PLACE) !== at) {
    return `path_pattern begins with a slash and has ${PLACE} once, as a whole part`;
  }
  const isOpen = parts.at(-1) === "*";
  const fixed = isOpen ? parts.slice(0, -1) : parts;
  if (fixed.some((part) => part.includes("*") || (part !== PLACE && part.includes("{")))) {
    return `path_pattern has * only as its last part, and no other name than ${PLACE}`;
  }
  return (segments) => {
    if (segments.length < fixed.length || (!isOpen && segments.length > fixed.length)) return undefined;
    return fixed.every((part, i) => i === at || part === segments[i]) ? segments[at] : undefined;
  };
}
