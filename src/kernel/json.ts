import { Fault } from "./fault.ts";

export type Json = null | boolean | number | string | Json[] | { [name: string]: Json };

/** Bounds of one JSON text. */
export interface JsonBounds {
  readonly bytesMax: number;
  /** Objects and arrays inside each other. */
  readonly depthMax: number;
}

/** More digits than the largest double has (1.8e308). */
const DIGITS_MAX = 309;

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
  } catch (cause) {
    throw invalid("The body is not UTF-8.", cause);
  }
  scan(text, bounds.depthMax);
  try {
    return JSON.parse(text) as Json; // JSON.parse gives nothing but Json
  } catch (cause) {
    throw invalid("The body is not JSON.", cause);
  }
}

function invalid(detail: string, cause?: unknown): Fault {
  return new Fault("invalid_json", detail, { public: { detail }, cause });
}

/** Checks what JSON.parse lets through; the grammar itself is left to JSON.parse. */
function scan(text: string, depthMax: number): void {
  const open: (Set<string> | undefined)[] = []; // per level: the names seen in an object, undefined in an array
  let nameNext = false;
  let digits = 0;
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i);
    digits = c >= 0x30 && c <= 0x39 ? digits + 1 : 0;
    if (digits > DIGITS_MAX) throw invalid("A number is out of range.");
    switch (c) {
      case 0x22: {
        const end = endOfString(text, i);
        const names = open.at(-1);
        if (nameNext && names) checkName(names, readString(text, i, end));
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
      case 0x65: // e
      case 0x45: // E: an exponent can leave the doubles
        checkNumber(text, i);
        break;
    }
  }
}

function endOfString(text: string, start: number): number {
  for (let i = start + 1; i < text.length; i++) {
    const c = text.charCodeAt(i);
    if (c === 0x5c) i++;
    else if (c === 0x22) return i;
  }
  throw invalid("The body is not JSON.");
}

function readString(text: string, start: number, end: number): string {
  const raw = text.slice(start + 1, end);
  if (!raw.includes("\\")) return raw;
  let value: string;
  try {
    value = JSON.parse(text.slice(start, end + 1)) as string; // a quoted slice parses to a string or throws
  } catch (cause) {
    throw invalid("The body is not JSON.", cause);
  }
  // both become another string in databases and in other languages
  if (!value.isWellFormed() || value.includes("\0")) throw invalid("A string has a character that cannot be stored.");
  return value;
}

function checkName(names: Set<string>, name: string): void {
  if (names.has(name)) throw invalid("An object has the same name twice.");
  if (name === "__proto__") throw invalid("An object has a name that is not allowed.");
  names.add(name);
}

function checkNumber(text: string, at: number): void {
  let start = at;
  while (start > 0 && /[\d.+-]/.test(text.charAt(start - 1))) start--;
  if (start === at) return; // the e of true or false
  let end = at + 1;
  while (end < text.length && /[\d+-]/.test(text.charAt(end))) end++;
  if (!Number.isFinite(Number(text.slice(start, end)))) throw invalid("A number is out of range.");
}
