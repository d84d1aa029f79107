import { Fault } from "../../kernel/index.ts";

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

/**
 * Throws `malformed_request` where others could read another value of this argument than the one that counts here: its name comes twice, or
 * there are more pairs than are looked at. What is decided by an argument must hold for whoever reads it next.
 */
export function assertOneReading(query: string, name: string, isThere: boolean): void {
  if (query === "") return;
  const pairs = query.split("&", PAIRS_MAX + 1);
  const times = isThere && pairs.length > 1 ? pairs.filter((pair) => decode(pair.split("=", 1)[0] ?? "") === name).length : 1;
  if (times <= 1 && pairs.length <= PAIRS_MAX) return;
  const detail = times > 1 ? `The argument ${JSON.stringify(name)} may be there once only.` : `At most ${PAIRS_MAX} arguments are taken.`;
  throw new Fault("malformed_request", detail, { public: { detail } });
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
