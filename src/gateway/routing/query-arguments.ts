/** Arguments of a query or a form, decoded; of a name that comes more than once the first counts. */
export type QueryArguments = ReadonlyMap<string, string>;

/** More pairs than these are not looked at. */
const PAIRS_MAX = 256;

/** Reads `a=1&b=2`. What cannot be decoded stays as it is; a name without `=` has the empty value. */
export function parseQueryArguments(text: string): QueryArguments {
  const found = new Map<string, string>();
  if (text === "") return found;
  for (const pair of text.split("&", PAIRS_MAX)) {
    if (pair === "") continue;
    const mark = pair.indexOf("=");
    const name = decode(mark === -1 ? pair : pair.slice(0, mark));
    if (!found.has(name)) found.set(name, mark === -1 ? "" : decode(pair.slice(mark + 1)));
  }
  return found;
}

function decode(text: string): string {
  const spaced = text.includes("+") ? text.replaceAll("+", " ") : text;
  if (!spaced.includes("%")) return spaced;
  try {
    return decodeURIComponent(spaced);
  } catch {
    return spaced;
  }
}
