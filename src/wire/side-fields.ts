import { fold, isForgedInternal } from "./headers.ts";
import type { HeaderEdit } from "./http.ts";
import { type Fields, scanFields } from "./http1/fields.ts";

/**
 * Fields beside the head of a final answer: those of interim answers before it and the trailers behind its body. They pass by everything
 * that decides about the head, so whatever such a decision could be about is cut out of them.
 */

/** Never beside the head: by which the gateway vouches, who is calling or may read the answer, and what belongs to a connection. */
const NEVER: ReadonlySet<string> = new Set([
  "connection",
  "content-length",
  "transfer-encoding",
  "keep-alive",
  "proxy-connection",
  "te",
  "trailer",
  "upgrade",
  "expect",
  "host",
  "authorization",
  "proxy-authorization",
  "www-authenticate",
  "proxy-authenticate",
  "authentication-info",
  "proxy-authentication-info",
  "cookie",
  "set-cookie",
  "x-api-key",
  "api-key",
  "strict-transport-security",
  "clear-site-data",
]);
/** Beginnings of such names: who may read the answer, the tenant, and what makes a proxy in front of us fetch something else. */
const NEVER_BEGINNINGS = ["access-control-", "x-tenant-", "x-accel-", "x-sendfile"] as const;
/** In no trailer besides: routing, caching and what the content is (RFC 9110, 6.5.1). Digests of the content are what trailers are for. */
const NO_TRAILER: ReadonlySet<string> = new Set([
  "status",
  "location",
  "forwarded",
  "via",
  "max-forwards",
  "x-forwarded-for",
  "x-forwarded-host",
  "x-forwarded-port",
  "x-forwarded-proto",
  "x-real-ip",
  "alt-svc",
  "refresh",
  "retry-after",
  "age",
  "cache-control",
  "cdn-cache-control",
  "date",
  "etag",
  "expires",
  "last-modified",
  "pragma",
  "vary",
  "warning",
  "accept-ranges",
  "range",
  "content-encoding",
  "content-disposition",
  "content-language",
  "content-location",
  "content-range",
  "content-security-policy",
  "content-type",
  "x-content-type-options",
  "x-frame-options",
]);
const TRAILERS_MAX = 64;

/** What of the fields of an interim answer goes on to the caller. */
export function interimFields(fields: Fields): HeaderEdit {
  return without(fields, isNever);
}

/** What of a trailer section goes on to the caller. Throws `malformed_request` for more than {@link TRAILERS_MAX} fields. */
export function trailerFields(lines: string): HeaderEdit {
  return without(scanFields(`${lines}\r\n`, 0, lines.length + 2, TRAILERS_MAX), (name) => !mayTrail(name));
}

/** Whether a field of this name may stand behind a body. */
export function mayTrail(name: string): boolean {
  return !isNever(name) && !NO_TRAILER.has(fold(name));
}

function isNever(name: string): boolean {
  const folded = fold(name);
  return NEVER.has(folded) || isForgedInternal(folded) || NEVER_BEGINNINGS.some((beginning) => folded.startsWith(beginning));
}

function without(fields: Fields, isCut: (name: string) => boolean): HeaderEdit {
  const edit = fields.edit();
  for (const [name] of fields.fields) if (isCut(name)) edit.remove(name);
  return edit;
}
