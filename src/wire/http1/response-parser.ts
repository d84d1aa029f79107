import { Fault } from "../../kernel/index.ts";
import type { ResponseHead } from "../http.ts";
import { CHUNKED, type Framing, NO_BODY, UNTIL_CLOSE } from "./body-decoder.ts";
import { CR, LF, SPACE, TEXT } from "./characters.ts";
import { KIND } from "./field-names.ts";
import { type Fields, scanFields } from "./fields.ts";
import { lengthOf } from "./request-parser.ts";

/** A checked head of an upstream's answer. */
export interface UpstreamHead extends ResponseHead {
  readonly headers: Fields;
  readonly framing: Framing;
  /** Content-Length as it was announced, also where no body follows; undefined without one. */
  readonly length: number | undefined;
  /** The connection may be used again after this answer. */
  readonly keepAlive: boolean;
}

/** The most an upstream may send as a head. More than a caller may: some set many cookies. */
export const RESPONSE_HEAD_BYTES_MAX = 64 * 1024;
const FIELDS_MAX = 256;

/** The head of an answer, from its first byte at `start` to the end of its empty line at `end`. Throws `malformed_request` for anything two readers could read differently. */
export function parseResponseHead(text: string, method: string, start = 0, end: number = text.length): UpstreamHead {
  const version = text.charCodeAt(start + 7) - 48;
  if (!text.startsWith("HTTP/1.", start) || (version !== 0 && version !== 1)) throw malformed("no HTTP/1 status line");
  const status = statusOf(text, start);
  const fields = scanFields(text, endOfLine(text, start), end, FIELDS_MAX);
  if ((fields.repeated & ((1 << KIND["content-length"]) | (1 << KIND["transfer-encoding"]))) !== 0) throw malformed("two framings");
  const measured = (fields.seen & (1 << KIND["content-length"])) !== 0;
  const length = measured ? lengthOf(fields.valueOfKind(KIND["content-length"])) : undefined;
  const framing = framingOf(fields, version, length, method, status);
  const ends = framing === UNTIL_CLOSE || version === 0 || closes(fields);
  return { status, headers: fields, hasBody: framing !== NO_BODY, framing, length, keepAlive: !ends };
}

function statusOf(text: string, start: number): number {
  const a = text.charCodeAt(start + 9) - 48;
  const b = text.charCodeAt(start + 10) - 48;
  const c = text.charCodeAt(start + 11) - 48;
  const digits = a >= 1 && a <= 9 && b >= 0 && b <= 9 && c >= 0 && c <= 9;
  const after = text.charCodeAt(start + 12);
  if (!digits || text.charCodeAt(start + 8) !== SPACE || (after !== SPACE && after !== CR)) throw malformed("no HTTP/1 status line");
  return a * 100 + b * 10 + c;
}

/** Where the first field line begins. The reason phrase says nothing that is used, but it may not hide another line. */
function endOfLine(text: string, start: number): number {
  let i = start + 12;
  while (TEXT[text.charCodeAt(i)] === 1) i++;
  if (text.charCodeAt(i) !== CR || text.charCodeAt(i + 1) !== LF) throw malformed("no HTTP/1 status line");
  return i + 2;
}

/** RFC 9112, 6.3. */
function framingOf(fields: Fields, version: number, length: number | undefined, method: string, status: number): Framing {
  const coded = (fields.seen & (1 << KIND["transfer-encoding"])) !== 0;
  if (!fields.isPlain(KIND["transfer-encoding"]) || !fields.isPlain(KIND["content-length"]))
    throw malformed("white space around the framing");
  if (coded && (length !== undefined || version === 0)) throw malformed("two framings");
  if (coded && fields.valueOfKind(KIND["transfer-encoding"]).toLowerCase() !== "chunked")
    throw malformed("a transfer coding other than chunked");
  if (method === "HEAD" || status === 204 || status === 304 || status < 200) return NO_BODY;
  if (coded) return CHUNKED;
  if (length === undefined) return UNTIL_CLOSE;
  return length === 0 ? NO_BODY : { kind: "length", length };
}

function closes(fields: Fields): boolean {
  if ((fields.seen & (1 << KIND.connection)) === 0) return false;
  const first = fields.valueOfKind(KIND.connection);
  if (first === "keep-alive" && (fields.repeated & (1 << KIND.connection)) === 0) return false;
  const all = fields.all("connection").join(",").toLowerCase();
  return all.includes("close") && all.split(",").some((option) => option.trim() === "close");
}

function malformed(message: string): Fault {
  return new Fault("malformed_request", message);
}
