/** What a request costs, of what its provider has said was used. A name that it has not said is 0. */
export type CostExpression = (counts: ReadonlyMap<string, number>) => number;

const LENGTH_MAX = 1_000;
const TOKEN = /\s*(?:(?<number>\d+(?:\.\d+)?)|(?<name>[A-Za-z_][A-Za-z0-9_]*)|(?<sign>[-+*/()]))/y;

type Token = { readonly kind: "number"; readonly value: number } | { readonly kind: "name" | "sign"; readonly text: string };

/** Compiles a formula of numbers, names and `+ - * / ( )`. Nothing of it is run as a program. Throws with what is wrong. */
export function compileCost(source: string): CostExpression {
  const tokens = tokenise(source);
  let at = 0;
  const isSign = (...signs: readonly string[]): boolean => {
    const token = tokens[at];
    return token?.kind === "sign" && signs.includes(token.text);
  };
  const sum = (): CostExpression => {
    let left = product();
    while (isSign("+", "-")) {
      const [before, isMinus] = [left, isSign("-")];
      at++;
      const right = product();
      left = isMinus ? (counts) => before(counts) - right(counts) : (counts) => before(counts) + right(counts);
    }
    return left;
  };
  const product = (): CostExpression => {
    let left = factor();
    while (isSign("*", "/")) {
      const [before, isDivision] = [left, isSign("/")];
      at++;
      const right = factor();
      left = isDivision ? (counts) => before(counts) / right(counts) : (counts) => before(counts) * right(counts);
    }
    return left;
  };
  const factor = (): CostExpression => {
    const token = tokens[at++];
    if (token?.kind === "number") return () => token.value;
    if (token?.kind === "name") return (counts) => counts.get(token.text) ?? 0;
    if (token?.text === "-") {
      const of = factor();
      return (counts) => -of(counts);
    }
    if (token?.text !== "(") throw new Error("a value is missing");
    const inner = sum();
    if (!isSign(")")) throw new Error("a bracket is not closed");
    at++;
    return inner;
  };
  const whole = sum();
  if (at < tokens.length) throw new Error("something follows the formula");
  return (counts) => {
    const cost = whole(counts);
    // neither a division by 0 nor a negative sum gives anything back
    return Number.isFinite(cost) ? Math.max(0, cost) : 0;
  };
}

function tokenise(source: string): readonly Token[] {
  if (source.length > LENGTH_MAX) throw new Error("it is too long");
  const tokens: Token[] = [];
  const text = source.trimEnd();
  TOKEN.lastIndex = 0;
  while (TOKEN.lastIndex < text.length) {
    const found = TOKEN.exec(text)?.groups;
    if (!found) throw new Error("a character that may not stand in it");
    const { number, name, sign = "" } = found;
    if (number !== undefined) tokens.push({ kind: "number", value: Number(number) });
    else tokens.push(name === undefined ? { kind: "sign", text: sign } : { kind: "name", text: name });
  }
  return tokens;
}
