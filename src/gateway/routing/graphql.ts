import { type Json, parseJson } from "../../kernel/index.ts";
import { parseQueryArguments } from "./query-arguments.ts";

/** What conditions may ask of a GraphQL document: its first operation, by kind, name and the fields at its root. */
export interface GraphqlOperation {
  readonly operation: string;
  /** Empty for an operation without one. */
  readonly name: string;
  readonly rootFields: readonly string[];
}

/** Documents of routing decisions: what is larger is none. */
const DOCUMENT_BYTES_MAX = 1024 * 1024;
const OPERATIONS: ReadonlySet<string> = new Set(["query", "mutation", "subscription"]);
const CLOSERS: Readonly<Record<string, string>> = { "{": "}", "(": ")", "[": "]" };
// names, punctuation, spreads, block strings, strings, numbers; what lies between them is white space, commas and comments
const TOKEN = /[_A-Za-z]\w*|\.\.\.|"""(?:[^"\\]|\\[\s\S]|"(?!""))*"""|"(?:[^"\\\n]|\\.)*"|-?\d[\w.+-]*|[!$&()=:@[\]{|}]/y;
const IGNORED = /(?:[\s,\uFEFF]|#[^\n\r]*)+/y;

/** The operation that a request carries: in the query of a GET, in the body of a POST, there as text or as `query` of JSON. Undefined when there is none. */
export function graphqlOf(
  method: string,
  query: string,
  contentType: string | undefined,
  body: Uint8Array | undefined,
): GraphqlOperation | undefined {
  const text = method === "GET" ? parseQueryArguments(query).get("query") : method === "POST" ? documentIn(contentType, body) : undefined;
  return text === undefined || text.length > DOCUMENT_BYTES_MAX ? undefined : parseGraphql(text);
}

function documentIn(contentType: string | undefined, body: Uint8Array | undefined): string | undefined {
  if (!body || body.length === 0 || body.length > DOCUMENT_BYTES_MAX) return undefined;
  if (contentType !== "application/json") return Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString("utf8");
  let json: Json;
  try {
    json = parseJson(body, { bytesMax: DOCUMENT_BYTES_MAX, depthMax: 64 });
  } catch {
    return undefined;
  }
  const text = typeof json === "object" && json !== null && !Array.isArray(json) ? json["query"] : undefined;
  return typeof text === "string" ? text : undefined;
}

/** The first operation of a document; undefined for a text that is no document. */
function parseGraphql(text: string): GraphqlOperation | undefined {
  const tokens = tokenise(text);
  if (!tokens || !isBalanced(tokens)) return undefined;
  let at = 0;
  let operation = "query";
  let name = "";
  const first = tokens[0] ?? "";
  if (first !== "{") {
    if (!OPERATIONS.has(first)) return undefined;
    operation = first;
    at = 1;
    if (/^\w/.test(tokens[at] ?? "")) name = tokens[at++] ?? "";
    // variables and directives
    while (at < tokens.length && tokens[at] !== "{") at = tokens[at] === "(" ? endOf(tokens, at) + 1 : at + 1;
  }
  if (tokens[at] !== "{") return undefined;
  return { operation, name, rootFields: rootFieldsOf(tokens, at, endOf(tokens, at)) };
}

function tokenise(text: string): string[] | undefined {
  const tokens: string[] = [];
  let at = 0;
  while (at < text.length) {
    IGNORED.lastIndex = at;
    if (IGNORED.test(text)) at = IGNORED.lastIndex;
    if (at >= text.length) break;
    TOKEN.lastIndex = at;
    const [token] = TOKEN.exec(text) ?? [];
    if (token === undefined) return undefined;
    tokens.push(token);
    at += token.length;
  }
  return tokens;
}

function isBalanced(tokens: readonly string[]): boolean {
  const open: string[] = [];
  for (const token of tokens) {
    const closer = CLOSERS[token];
    if (closer !== undefined) open.push(closer);
    else if ((token === "}" || token === ")" || token === "]") && open.pop() !== token) return false;
  }
  return open.length === 0;
}

/** Where the bracket that opens here is closed; the text is balanced. */
function endOf(tokens: readonly string[], at: number): number {
  let depth = 0;
  for (let index = at; index < tokens.length; index++) {
    const token = tokens[index] ?? "";
    if (CLOSERS[token] !== undefined) depth++;
    else if ((token === "}" || token === ")" || token === "]") && --depth === 0) return index;
  }
  return tokens.length;
}

/** Names of the fields themselves, not of their aliases. */
function rootFieldsOf(tokens: readonly string[], from: number, to: number): string[] {
  const fields: string[] = [];
  for (let at = from + 1; at < to; at++) {
    const token = tokens[at] ?? "";
    if (CLOSERS[token] !== undefined) at = endOf(tokens, at);
    else if (token === "@" || token === "...") at++; // a directive or a fragment: its name is no field
    else if (/^[_A-Za-z]/.test(token) && tokens[at + 1] !== ":") fields.push(token);
  }
  return fields;
}
