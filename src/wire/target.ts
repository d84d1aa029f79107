import { Fault } from "../kernel/index.ts";
import type { Target } from "./http.ts";

/** The longest request target, in bytes. */
export const TARGET_BYTES_MAX = 8 * 1024;
/** The most segments a path may have. */
export const SEGMENTS_MAX = 128;

/** Callers ask for the same few addresses again and again, and checking one costs microseconds. */
const REMEMBERED_MAX = 256;
const REMEMBERED_LENGTH_MAX = 256;
const remembered = new Map<string, Target>();

/** pchar of RFC 3986, 3.3, and the slash; without `;`, whose parameters some servers drop from the path before they route. */
const PATH_CHARACTERS = /^[A-Za-z0-9\-._~!$&'()*+,=:@%/]*$/;
/** Visible ASCII except `#`. */
const QUERY_CHARACTERS = /^[!"$-~]*$/;
/** Slash, backslash, dot, semicolon, NUL and percent: a second decoding behind us would make another path of them. */
const ENCODED_DELIMITER = /%(?:2f|5c|2e|3b|00|25)/i;
/** C0, DEL, C1 and the Unicode line ends. */
const CONTROL = /[\p{Cc}\p{Zl}\p{Zp}]/u;
const VISIBLE = /^[!-~]*$/;
const NOT_ASCII = /[^\0-\x7f]/gu;
const ASCII = /[\0-\x7f]/;

/**
 * The request target with all guarantees of {@link Target} (RFC 9112, 3.2.1). Throws `malformed_request`.
 * Absolute form, authority form and `*` are refused: they name a host or a resource that was not authorised. So is a fragment, which
 * Node passes on.
 */
export function parseTarget(raw: string): Target {
  const known = remembered.get(raw);
  if (known) return known;
  const target = check(raw);
  if (raw.length > REMEMBERED_LENGTH_MAX) return target;
  if (remembered.size >= REMEMBERED_MAX) remembered.clear();
  remembered.set(raw, target);
  return target;
}

function check(raw: string): Target {
  if (raw.length > TARGET_BYTES_MAX) throw malformed("The address is too long.");
  if (!raw.startsWith("/")) throw malformed("The address must begin with a slash.");
  const mark = raw.indexOf("?");
  const path = mark === -1 ? raw : raw.slice(0, mark);
  const query = mark === -1 ? "" : raw.slice(mark + 1);
  checkQuery(query);
  return { raw, path, segments: parsePath(path), query };
}

/**
 * Any target in origin form of visible ASCII, for ports whose own rules say what a path means. Dot and empty segments, encoded delimiters
 * and `;` may be in it; segments that cannot be decoded stay as they are. Throws `malformed_request` for other forms and characters.
 */
export function parseLenientTarget(raw: string): Target {
  if (raw.length > TARGET_BYTES_MAX) throw malformed("The address is too long.");
  if (!raw.startsWith("/")) throw malformed("The address must begin with a slash.");
  if (raw.includes("#") || !VISIBLE.test(raw)) throw malformed("The address has a character that must be percent-encoded.");
  return new LenientTarget(raw);
}

class LenientTarget implements Target {
  readonly raw: string;
  readonly path: string;
  readonly query: string;

  constructor(raw: string) {
    this.raw = raw;
    const mark = raw.indexOf("?");
    this.path = mark === -1 ? raw : raw.slice(0, mark);
    this.query = mark === -1 ? "" : raw.slice(mark + 1);
  }

  get segments(): readonly string[] {
    return this.path === "/" ? [] : this.path.slice(1).split("/").map(decodeLeniently);
  }
}

function decodeLeniently(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment; // whoever wants only what can be decoded asks the strict reader
  }
}

function parsePath(path: string): readonly string[] {
  if (!PATH_CHARACTERS.test(path)) throw malformed("The path has a character that must be percent-encoded or is not allowed.");
  if (ENCODED_DELIMITER.test(path)) throw malformed("The path has a percent-encoded delimiter.");
  if (path === "/") return [];
  const segments = path.slice(1).split("/");
  if (segments.length > SEGMENTS_MAX) throw malformed("The path has too many segments.");
  const last = segments.length - 1;
  // one slash at the end is part of many addresses, and nobody behind us drops or adds one without saying so
  return segments.map((segment, at) => (at === last && segment === "" ? "" : parseSegment(segment)));
}

function parseSegment(raw: string): string {
  if (raw === "") throw malformed("The path has an empty segment.");
  // RFC 3986, 5.2.4: whoever normalises behind us would serve another path than the one that was authorised
  if (raw === "." || raw === "..") throw malformed("The path has a dot segment.");
  const segment = decode(raw, "path");
  if (CONTROL.test(segment)) throw malformed("The path has a control character.");
  if (hasAsciiLookAlike(segment)) throw malformed("The path has a character that can be mistaken for an ASCII one.");
  return segment;
}

/** Whether compatibility normalisation makes ASCII out of a character that is not: full-width letters, `℀`, the one dot leader. */
function hasAsciiLookAlike(text: string): boolean {
  const foreign = text.match(NOT_ASCII);
  return foreign !== null && foreign.some((character) => ASCII.test(character.normalize("NFKC")));
}

function checkQuery(query: string): void {
  if (!QUERY_CHARACTERS.test(query)) throw malformed("The query has a character that must be percent-encoded.");
  if (decode(query, "query").includes("\0")) throw malformed("The query has a NUL character.");
}

function decode(encoded: string, part: "path" | "query"): string {
  try {
    return decodeURIComponent(encoded);
  } catch (cause) {
    throw malformed(`The ${part} has a percent-encoding that is not UTF-8.`, cause);
  }
}

function malformed(detail: string, cause?: unknown): Fault {
  return new Fault("malformed_request", detail, { public: { detail }, cause });
}
