import { Fault } from "../../kernel/index.ts";
import { JSON_BYTES } from "../meter/json-bytes.ts";

/** Where a text stands: how deep, and under which name; the names themselves have none. */
export interface TextPlace {
  readonly depth: number;
  readonly name: string | undefined;
}

const { QUOTE, BACKSLASH, COLON, OPEN, CLOSE, OPEN_LIST, CLOSE_LIST } = JSON_BYTES;
const SPACE = 0x20;

/** Members that hold files, and what a file looks like there. */
const FILE_MEMBERS: ReadonlySet<string> = new Set(["data", "url", "image_url", "file_data"]);
const FILE = /^(?:data:[a-z0-9.+-]+\/[a-z0-9.+-]+;base64,)?[A-Za-z0-9+/_-]+={0,2}$/;
const FILE_LENGTH_MIN = 256;

/**
 * The same JSON with every text, names included, as `change` gives it; all that it leaves alone stays byte for byte. Files in base64 are not shown to it.
 * Throws `invalid_json` for a text that is none.
 */
export async function mapTexts(json: string, change: (text: string, place: TextPlace) => string | Promise<string>): Promise<string> {
  let made = "";
  let from = 0;
  let depth = 0;
  let name: string | undefined;
  for (let at = 0; at < json.length; at++) {
    const code = json.charCodeAt(at);
    if (code === OPEN || code === OPEN_LIST) depth++;
    else if (code === CLOSE || code === CLOSE_LIST) depth--;
    if (code !== QUOTE) continue;
    const end = endOfText(json, at);
    const text = decoded(json, at, end);
    const isName = isNameBefore(json, end);
    if (isName) name = text;
    if (isName || !isFile(name, text)) {
      const changed = await change(text, { depth, name: isName ? undefined : name });
      if (changed !== text) {
        made += json.slice(from, at) + JSON.stringify(changed);
        from = end + 1;
      }
    }
    at = end;
  }
  return from === 0 ? json : made + json.slice(from);
}

function isFile(name: string | undefined, text: string): boolean {
  return text.length >= FILE_LENGTH_MIN && name !== undefined && FILE_MEMBERS.has(name) && FILE.test(text);
}

/** Where the quote is that ends the text; an even number of backslashes before it end themselves. */
function endOfText(json: string, start: number): number {
  for (let end = json.indexOf('"', start + 1); end !== -1; end = json.indexOf('"', end + 1)) {
    let before = end - 1;
    while (json.charCodeAt(before) === BACKSLASH) before--;
    if ((end - before) % 2 === 1) return end;
  }
  throw invalid("a text has no end");
}

function decoded(json: string, start: number, end: number): string {
  const raw = json.slice(start + 1, end);
  if (!raw.includes("\\")) return raw;
  try {
    return String(JSON.parse(`"${raw}"`));
  } catch {
    throw invalid("a text is not well formed");
  }
}

function isNameBefore(json: string, end: number): boolean {
  let at = end + 1;
  while (at < json.length && json.charCodeAt(at) <= SPACE) at++;
  return json.charCodeAt(at) === COLON;
}

function invalid(reason: string): Fault {
  return new Fault("invalid_json", reason, { public: { detail: `The body is not JSON: ${reason}.` } });
}
