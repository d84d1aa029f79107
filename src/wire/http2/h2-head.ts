import { Fault } from "../../kernel/index.ts";
import { CHUNKED, type Framing, NO_BODY } from "../http1/body-decoder.ts";
import { type Ends, Head, parseRequestHead, type RequestRules } from "../http1/request-parser.ts";

/** Fields that HTTP/2 has no place for (RFC 9113, 8.2.2). */
const FORBIDDEN: ReadonlySet<string> = new Set(["connection", "proxy-connection", "keep-alive", "transfer-encoding", "upgrade", "host"]);
const LINE_BREAK = /[\r\n\0]/;

/**
 * The head of an HTTP/2 request by the rules of HTTP/1.1: it is written out as one and read by the same reader, so that nothing that one
 * protocol refuses comes in by the other. Throws `malformed_request`, `method_not_allowed`.
 */
export function toHead(raw: readonly string[], rules: RequestRules, bytesMax: number, ends: Ends, hasBody: boolean): Head {
  const pseudo = new Map<string, string>();
  let lines = "";
  let cookies = "";
  for (let i = 0; i + 1 < raw.length; i += 2) {
    const [name = "", value = ""] = [raw[i], raw[i + 1]];
    // a line break would be another field to the reader below
    if (LINE_BREAK.test(name) || LINE_BREAK.test(value) || FORBIDDEN.has(name))
      throw malformed(`The header field ${name} is not allowed in HTTP/2.`);
    if (name.startsWith(":")) {
      if (pseudo.has(name)) throw malformed(`The field ${name} may be sent only once.`);
      pseudo.set(name, value);
    } else if (name === "cookie") cookies += cookies === "" ? value : `; ${value}`; // RFC 9113, 8.2.3
    else lines += `${name}: ${value}\r\n`;
  }
  if (lines.length + cookies.length > bytesMax) throw malformed("The header fields are too large.");
  if (cookies !== "") lines += `cookie: ${cookies}\r\n`;
  const [method = "", path = "", authority] = [pseudo.get(":method"), pseudo.get(":path"), pseudo.get(":authority")];
  if (authority === undefined || pseudo.get(":scheme") !== ends.scheme) throw malformed("The request has no authority, or another scheme.");
  const head = parseRequestHead(`${method} ${path} HTTP/1.1\r\nhost: ${authority}\r\n${lines}\r\n`, rules, ends);
  return new Head(ends, { ...facts(head), version: "2", framing: framingOf(head, hasBody), keepAlive: true, upgrade: false });
}

function facts(head: Head): Pick<Head, "method" | "target" | "headers" | "host" | "authority" | "waits" | "trailers"> {
  const { method, target, headers, host, authority, waits, trailers } = head;
  return { method, target, headers, host, authority, waits, trailers };
}

/** Frames say where the body ends; a length that is said as well has been checked by the library. */
function framingOf(head: Head, hasBody: boolean): Framing {
  if (!hasBody) return NO_BODY;
  return head.framing === NO_BODY ? CHUNKED : head.framing;
}

function malformed(detail: string): Fault {
  return new Fault("malformed_request", detail, { public: { detail } });
}
