import { Fault } from "./fault.ts";

/** A value of JSON (RFC 8259). */
export type Json = null | boolean | number | string | Json[] | { [name: string]: Json };

/** Bounds of one JSON text. */
export interface JsonBounds {
  readonly bytesMax: number;
  /** Objects and arrays inside each other. */
  readonly depthMax: number;
}

/** The bounds of a request body: 1 MiB, 64 levels. */
export const JSON_BOUNDS: JsonBounds = { bytesMax: 1024 * 1024, depthMax: 64 };

// ignoreBOM keeps a leading U+FEFF in the text, where the grammar then refuses it (RFC 8259, 8.1)
const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/**
 * Reads one JSON text so that no other reader can see something else in it: fatal UTF-8, no byte order mark, no name twice in an
 * object (also not in another spelling), no `__proto__`, no lone surrogate, no NUL, no number beyond a double (RFC 8259, RFC 7493).
 * Throws `body_too_large`, `body_too_deep` or `invalid_json`, with the place but never the content.
 */
export function parseJson(bytes: Uint8Array, bounds: JsonBounds = JSON_BOUNDS): Json {
  if (bytes.length > bounds.bytesMax) throw new Fault("body_too_large", `JSON of ${bytes.length} bytes, ${bounds.bytesMax} allowed`);
  let text: string;
  try {
    text = utf8.decode(bytes);
  } catch {
    throw invalid("The body is not UTF-8.");
  }
  scan(text, bounds.depthMax);
  try {
    return JSON.parse(text) as Json; // JSON.parse gives nothing but Json
  } catch (error) {
    throw notJson(error instanceof SyntaxError ? placeIn(error.message) : undefined);
  }
}

function invalid(detail: string, at?: number): Fault {
  const text = at === undefined ? detail : `${detail.slice(0, -1)}, at character ${at + 1}.`;
  return new Fault("invalid_json", text, { public: { detail: text } });
}

function notJson(at?: number): Fault {
  return invalid("The body is not JSON.", at);
}

/** Of the engine's message only the place is taken: the rest quotes the text. */
function placeIn(message: string): number | undefined {
  const found = /at position (\d+) \(line \d+ column \d+\)$/.exec(message)?.[1];
  return found === undefined ? undefined : Number(found);
}

/** Checks what JSON.parse lets through; the grammar itself is left to JSON.parse. */
function scan(text: string, depthMax: number): void {
  const open: (Set<string> | undefined)[] = []; // per level: the names seen in an object, undefined in an array
  let nameNext = false;
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i);
    switch (c) {
      case 0x22: {
        const end = endOfString(text, i);
        const names = open.at(-1);
        if (nameNext && names) checkName(names, readString(text, i, end), i);
        else readString(text, i, end);
        nameNext = false;
        i = end;
        break;
      }
      case 0x7b: // {
      case 0x5b: // [
        if (open.length >= depthMax) throw new Fault("body_too_deep", `JSON deeper than ${depthMax}`);
        nameNext = c === 0x7b;
        open.push(nameNext ? new Set() : undefined);
        break;
      case 0x7d: // }
      case 0x5d: // ]
        open.pop();
        nameNext = false;
        break;
      case 0x2c: // ,
        nameNext = open.at(-1) !== undefined;
        break;
      default:
        if (isDigit(c)) i = endOfNumber(text, i) - 1;
    }
  }
}

function isDigit(c: number): boolean {
  return c >= 0x30 && c <= 0x39;
}

/** Where the number ends that has its first digit here. It must be a number that a double can hold. */
function endOfNumber(text: string, start: number): number {
  let end = start + 1;
  while (end < text.length && NUMBER_CHARACTERS.has(text.charCodeAt(end))) end++;
  // what is no number at all is left to the grammar
  const value = Number(text.slice(start, end));
  if (value === Number.POSITIVE_INFINITY) throw invalid("A number is out of range.", start);
  return end;
}

/** After the first digit: 0 to 9 . e E + - */
const NUMBER_CHARACTERS: ReadonlySet<number> = new Set(Buffer.from("0123456789.eE+-"));

function endOfString(text: string, start: number): number {
  for (let i = start + 1; i < text.length; i++) {
    const c = text.charCodeAt(i);
    if (c === 0x5c) i++;
    else if (c === 0x22) return i;
  }
  throw notJson(text.length);
}

function readString(text: string, start: number, end: number): string {
  const raw = text.slice(start + 1, end);
  if (!raw.includes("\\")) return raw;
  let value: string;
  try {
    value = JSON.parse(text.slice(start, end + 1)) as string; // a quoted slice parses to a string or throws
  } catch {
    throw notJson(start);
  }
  // both become another string in databases and in other languages
  if (!value.isWellFormed() || value.includes("\0")) throw invalid("A string has a character that cannot be stored.", start);
  return value;
}

function checkName(names: Set<string>, name: string, at: number): void {
  if (names.has(name)) throw invalid("An object has the same name twice.", at);
  if (name === "__proto__") throw invalid("An object has a name that is not allowed.", at);
  names.add(name);
}
