import { Fault } from "../../kernel/index.ts";

/** Arguments of a query or a form, decoded; of a name that comes more than once the first counts. */
export type QueryArguments = ReadonlyMap<string, string>;

/** More pairs than these are not looked at. */
const PAIRS_MAX = 256;

/** What a query says, and what another reader could take out of it besides. */
export interface QueryReading {
  readonly values: QueryArguments;
  /** Names that come more than once. */
  readonly repeated: ReadonlySet<string>;
  /** There are more pairs than are looked at. */
  readonly isCut: boolean;
}

/** Reads `a=1&b=2`. What cannot be decoded stays as it is; a name without `=` has the empty value. */
export function parseQueryArguments(text: string): QueryArguments {
  return readQueryArguments(text).values;
}

/** The same, with what {@link valueWithOneReading} asks about. */
export function readQueryArguments(text: string): QueryReading {
  const values = new Map<string, string>();
  const repeated = new Set<string>();
  const pairs = text === "" ? [] : text.split("&", PAIRS_MAX + 1);
  for (const [at, pair] of pairs.entries()) {
    if (pair === "") continue;
    const mark = pair.indexOf("=");
    const name = decodeArgument(mark === -1 ? pair : pair.slice(0, mark));
    if (values.has(name)) repeated.add(name);
    else if (at < PAIRS_MAX) values.set(name, mark === -1 ? "" : decodeArgument(pair.slice(mark + 1)));
  }
  return { values, repeated, isCut: pairs.length > PAIRS_MAX };
}

/**
 * The argument's value. Throws `malformed_request` where others could read another one than counts here: its name comes twice, or there are
 * more pairs than are looked at. What is decided by an argument must hold for whoever reads it next.
 */
export function valueWithOneReading({ values, repeated, isCut }: QueryReading, name: string): string | undefined {
  if (!isCut && !repeated.has(name)) return values.get(name);
  const detail = repeated.has(name)
    ? `The argument ${JSON.stringify(name)} may be there once only.`
    : `At most ${PAIRS_MAX} arguments are taken.`;
  throw new Fault("malformed_request", detail, { public: { detail } });
}

/** A name or value of a query or a form as it is meant; what cannot be decoded stays as it is. */
export function decodeArgument(text: string): string {
  const spaced = text.includes("+") ? text.replaceAll("+", " ") : text;
  if (!spaced.includes("%")) return spaced;
  try {
    return decodeURIComponent(spaced);
  } catch {
    return spaced;
  }
}
