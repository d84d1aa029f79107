import type { IncomingMessage } from "node:http";
import { Fault } from "../kernel/index.ts";
import { createHeaderList, fold } from "./headers.ts";
import { parseHost } from "./host.ts";
import type { HeaderList, RequestHead } from "./http.ts";
import { parseTarget } from "./target.ts";

const METHODS: ReadonlySet<string> = new Set(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]);

/** Fields of which two readers would take different values if they came twice: the first, the last, or both joined. */
const SINGLE = [
  "host",
  "authorization",
  "x-tenant-id",
  "x-api-key",
  "api-key",
  "cookie",
  "content-length",
  "content-type",
  "content-encoding",
  "transfer-encoding",
  "expect",
] as const;

/** Fields that decide where a request ends or whom it is for: not even a look-alike may come in. */
const FRAMING: ReadonlySet<string> = new Set(["host", "content-length", "transfer-encoding"]);

/**
 * The checked head of a request. Throws `malformed_request` or `method_not_allowed`; after that nothing more may be read from the
 * connection, since where the request ends is not certain.
 */
export function parseHead(message: IncomingMessage, fieldsMax: number): RequestHead {
  if (message.rawHeaders.length / 2 > fieldsMax) throw malformed(`A request may have at most ${fieldsMax} header fields.`);
  const headers = createHeaderList(message.rawHeaders);
  for (const [name] of headers.fields) checkSpelling(name);
  for (const name of SINGLE) headers.one(name);
  checkFraming(headers, message.httpVersion);
  const method = message.method ?? "";
  if (!METHODS.has(method)) throw methodNotAllowed(method);
  return {
    method,
    target: parseTarget(message.url ?? ""),
    headers,
    host: hostOf(headers, message.httpVersion),
    remoteAddress: toPlainAddress(message.socket.remoteAddress ?? ""),
  };
}

/** Whether the head announces a body (RFC 9112, 6.3). */
export function hasBody(headers: HeaderList): boolean {
  return headers.one("transfer-encoding") !== undefined || Number(headers.one("content-length") ?? 0) > 0;
}

/** The refusal of a method, with the methods there are (RFC 9110, 15.5.6). */
export function methodNotAllowed(method: string): Fault {
  return new Fault("method_not_allowed", `method ${method}`, { public: { headers: { allow: [...METHODS].join(", ") } } });
}

function checkSpelling(name: string): void {
  const folded = fold(name);
  if (FRAMING.has(folded) && folded !== name.toLowerCase()) throw malformed(`The header field ${folded} is misspelled.`);
}

/** Two lengths, or a coding that we and an upstream may read differently, are how one request is smuggled inside another (RFC 9112, 6.1). */
function checkFraming(headers: HeaderList, httpVersion: string): void {
  const length = headers.one("content-length");
  const coding = headers.one("transfer-encoding");
  if (length !== undefined && !/^[0-9]{1,15}$/.test(length)) throw malformed("Content-Length is not a number.");
  if (coding === undefined) return;
  if (length !== undefined) throw malformed("A request may have Content-Length or Transfer-Encoding, not both.");
  if (coding.toLowerCase() !== "chunked" || httpVersion !== "1.1") throw malformed("The only transfer coding is chunked, in HTTP/1.1.");
}

function hostOf(headers: HeaderList, httpVersion: string): string | undefined {
  const value = headers.one("host");
  if (value !== undefined) return parseHost(value);
  if (httpVersion === "1.0") return undefined;
  throw malformed("The Host field is missing.");
}

/** An IPv4 caller of a dual-stack socket under its own address, so that rules about addresses see one spelling. */
function toPlainAddress(address: string): string {
  return address.startsWith("::ffff:") && address.includes(".") ? address.slice("::ffff:".length) : address;
}

function malformed(detail: string): Fault {
  return new Fault("malformed_request", detail, { public: { detail } });
}
