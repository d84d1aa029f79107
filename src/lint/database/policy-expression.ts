/** What is wrong with an expression that should hold a row to the tenant in force. */
export type ExpressionFault =
  | "always-true"
  | "or"
  | "other-table"
  | "column-cast"
  | "column-function"
  | "setting-required"
  | "setting-empty"
  | "unbound";

/** What an expression turned out to be: a fault, or bound to the tenant by a setting or by a function. */
export type ExpressionVerdict =
  | { readonly fault: ExpressionFault }
  | { readonly fault?: never; readonly boundBy: "setting"; readonly setting: string }
  | { readonly fault?: never; readonly boundBy: "function"; readonly name: string };

interface Token {
  readonly kind: "word" | "text" | "mark";
  readonly text: string;
}

const TOKEN = /'(?:[^']|'')*'|"(?:[^"]|"")*"|[A-Za-z_\u0080-\uffff][\w$\u0080-\uffff]*|\d+(?:\.\d+)?|::|[<>=!~@#%^&|*/+?-]+|[^\s]/g;
/** Words in front of a parenthesis that are no function's name. */
const KEYWORDS: ReadonlySet<string> = new Set(["and", "or", "not", "select", "in", "any", "all", "is", "then", "when", "else", "case"]);

/**
 * Judges the text that pg_get_expr gives, which the engine itself has written out of its parse tree: one form for each meaning.
 * Only `tenant = <the tenant in force>` in a conjunction passes; whatever is not understood is a fault, so nothing slips by for being new.
 */
export function judgeExpression(text: string, tenantColumn: string): ExpressionVerdict {
  const tokens = tokenise(text);
  const bare = stripParens(tokens);
  if (isWords(bare, "true")) return { fault: "always-true" };
  if (tokens.some((token) => isWord(token, "or"))) return { fault: "or" };
  if (tokens.some((token) => isWord(token, "from"))) return { fault: "other-table" };
  const fault = columnFault(tokens, tenantColumn);
  if (fault) return { fault };
  for (const term of splitAt(bare, (token) => isWord(token, "and"))) {
    const value = comparedWith(stripParens(term), tenantColumn);
    if (value) return judgeValue(value);
  }
  return { fault: "unbound" };
}

/** Judges the body of a function that gives the tenant in force: `select <value>` or `return <value>`. */
export function judgeContextBody(source: string): ExpressionVerdict {
  const tokens = tokenise(source).filter(({ text }) => text !== ";");
  const start = tokens.findIndex((token) => isWord(token, "select") || isWord(token, "return"));
  const end = tokens.findIndex((token, at) => at > start && isWord(token, "end"));
  return judgeValue(tokens.slice(start + 1, end < 0 ? undefined : end));
}

function tokenise(text: string): Token[] {
  return (text.match(TOKEN) ?? []).map((part) => {
    if (part.startsWith("'")) return { kind: "text", text: part.slice(1, -1).replaceAll("''", "'") };
    if (part.startsWith('"')) return { kind: "word", text: part.slice(1, -1).replaceAll('""', '"') };
    return { kind: /^[A-Za-z_\u0080-\uffff]/.test(part) ? "word" : "mark", text: part };
  });
}

function judgeValue(given: readonly Token[]): ExpressionVerdict {
  const value = stripValue(given);
  const call = callOf(value);
  if (call === undefined) return { fault: "unbound" };
  if (call.name === "nullif") {
    const [inner = [], empty = []] = splitAt(call.inside, (token) => token.text === ",");
    const verdict = judgeValue(inner);
    const isEmptyText = stripValue(empty).length === 1 && stripValue(empty)[0]?.kind === "text" && stripValue(empty)[0]?.text === "";
    return verdict.fault === "setting-empty" && isEmptyText ? settingOf(inner) : verdict;
  }
  if (call.name !== "current_setting" && call.name !== "pg_catalog.current_setting") return { boundBy: "function", name: call.name };
  const [, missingOk = []] = splitAt(call.inside, (token) => token.text === ",");
  return { fault: isWords(missingOk, "true") ? "setting-empty" : "setting-required" };
}

function settingOf(call: readonly Token[]): ExpressionVerdict {
  const setting = stripValue(call).find(({ kind }) => kind === "text")?.text ?? "";
  return { boundBy: "setting", setting };
}

/** Where the tenant's column is not compared as it is. */
function columnFault(tokens: readonly Token[], column: string): ExpressionFault | undefined {
  for (const [at, token] of tokens.entries()) {
    if (token.kind !== "word" || token.text !== column) continue;
    let [left, right] = [at, at];
    while (tokens[left - 1]?.text === "(" && tokens[right + 1]?.text === ")" && !isCallee(tokens[left - 2]))
      [left, right] = [left - 1, right + 1];
    if (isInsideCall(tokens, left)) return "column-function";
    if (tokens[right + 1]?.text === "::") return "column-cast";
  }
  return undefined;
}

/** Whether some parenthesis around this place belongs to a function. */
function isInsideCall(tokens: readonly Token[], place: number): boolean {
  let depth = 0;
  for (let at = place - 1; at >= 0; at--) {
    const text = tokens[at]?.text;
    if (text === ")") depth++;
    else if (text === "(" && depth > 0) depth--;
    else if (text === "(" && isCallee(tokens[at - 1])) return true;
  }
  return false;
}

function isCallee(token: Token | undefined): boolean {
  return token?.kind === "word" && !KEYWORDS.has(token.text.toLowerCase());
}

/** The other side of `column = value`, if the term is that. */
function comparedWith(term: readonly Token[], column: string): readonly Token[] | undefined {
  const [left = [], right, more] = splitAt(term, (token) => token.text === "=");
  if (right === undefined || more !== undefined) return undefined;
  const isColumn = (side: readonly Token[]): boolean => isColumnAlone(stripParens(side), column);
  if (isColumn(left)) return right;
  return isColumn(right) ? left : undefined;
}

function isColumnAlone(side: readonly Token[], column: string): boolean {
  return side.at(-1)?.text === column && (side.length === 1 || (side.length === 3 && side[1]?.text === "."));
}

/** Takes off parentheses, casts, and a sub-select around a value alone. */
function stripValue(tokens: readonly Token[]): readonly Token[] {
  let value = stripParens(tokens);
  for (;;) {
    const parts = splitAt(value, (token) => token.text === "::");
    const [first = [], ...types] = parts;
    // `a::text || b` is no cast of a value alone
    if (!types.flat().every(({ kind, text }) => kind === "word" || /^[\d.,()[\]]+$/.test(text))) return value;
    const inner = isWord(first[0], "select") ? withoutAlias(first.slice(1)) : first;
    const next = stripParens(inner);
    if (next.length === value.length) return value;
    value = next;
  }
}

function withoutAlias(tokens: readonly Token[]): readonly Token[] {
  return tokens.length > 2 && isWord(tokens.at(-2), "as") ? tokens.slice(0, -2) : tokens;
}

/** A call alone: its name, qualified as it stands, and what is between its parentheses. */
function callOf(tokens: readonly Token[]): { readonly name: string; readonly inside: readonly Token[] } | undefined {
  const open = tokens.findIndex(({ text }) => text === "(");
  const name = tokens.slice(0, open);
  const isName = open > 0 && name.every((token, at) => (at % 2 === 0 ? token.kind === "word" : token.text === "."));
  if (!isName || closing(tokens, open) !== tokens.length - 1) return undefined;
  const plain = name.map(({ text }) => text).join("");
  return { name: name.length === 1 ? plain.toLowerCase() : plain, inside: tokens.slice(open + 1, -1) };
}

function stripParens(tokens: readonly Token[]): readonly Token[] {
  let bare = tokens;
  while (bare.length > 1 && bare[0]?.text === "(" && bare[0].kind === "mark" && closing(bare, 0) === bare.length - 1)
    bare = bare.slice(1, -1);
  return bare;
}

function closing(tokens: readonly Token[], open: number): number {
  let depth = 0;
  for (let at = open; at < tokens.length; at++) {
    const token = tokens[at];
    if (token?.kind !== "mark") continue;
    if (token.text === "(") depth++;
    if (token.text === ")" && --depth === 0) return at;
  }
  return -1;
}

/** The pieces between separators that are inside no parenthesis. */
function splitAt(tokens: readonly Token[], isSeparator: (token: Token) => boolean): readonly Token[][] {
  const pieces: Token[][] = [[]];
  let depth = 0;
  for (const token of tokens) {
    if (token.kind === "mark" && token.text === "(") depth++;
    if (token.kind === "mark" && token.text === ")") depth--;
    if (depth === 0 && token.kind !== "text" && isSeparator(token)) pieces.push([]);
    else pieces.at(-1)?.push(token);
  }
  return pieces;
}

function isWords(tokens: readonly Token[], word: string): boolean {
  return tokens.length === 1 && isWord(tokens[0], word);
}

function isWord(token: Token | undefined, word: string): boolean {
  return token?.kind === "word" && token.text.toLowerCase() === word;
}
