import { Fault, FAULTS, type FaultCode } from "../../kernel/index.ts";
import { type Answer, toProblem } from "../../wire/index.ts";
import type { ProxyCall } from "./call.ts";

/** Codes that the dialect's own gateway answers with a bare page; what is ours (tenants, credentials, limits) is a problem document everywhere. */
const PAGES: ReadonlySet<FaultCode> = new Set([
  "malformed_request",
  "body_too_large",
  "internal",
  "overloaded",
  "upstream_invalid",
  "upstream_timeout",
  "upstream_unreachable",
]);

/** The titles of the pages. */
const REASONS: Readonly<Record<number, string>> = {
  300: "Multiple Choices",
  301: "Moved Permanently",
  302: "Found",
  303: "See Other",
  304: "Not Modified",
  307: "Temporary Redirect",
  308: "Permanent Redirect",
  400: "Bad Request",
  401: "Authorization Required",
  402: "Payment Required",
  403: "Forbidden",
  404: "Not Found",
  405: "Not Allowed",
  406: "Not Acceptable",
  408: "Request Time-out",
  409: "Conflict",
  410: "Gone",
  411: "Length Required",
  412: "Precondition Failed",
  413: "Request Entity Too Large",
  414: "Request-URI Too Large",
  415: "Unsupported Media Type",
  416: "Requested Range Not Satisfiable",
  421: "Misdirected Request",
  429: "Too Many Requests",
  500: "Internal Server Error",
  501: "Not Implemented",
  502: "Bad Gateway",
  503: "Service Temporarily Unavailable",
  504: "Gateway Time-out",
  505: "HTTP Version Not Supported",
  507: "Insufficient Storage",
};

/** The page for a status without a body of its own. */
export function pageAnswer(status: number): Answer {
  const title = `${status} ${REASONS[status] ?? ""}`.trimEnd();
  const lines = [
    "<html>",
    `<head><title>${title}</title></head>`,
    "<body>",
    `<center><h1>${title}</h1></center>`,
    '<hr><center>openresty</center>\r\n<p><em>Powered by <a href="https://apisix.apache.org/">APISIX</a>.</em></p></body>',
    "</html>\r\n",
  ];
  return { status, headers: { "content-type": "text/html; charset=utf-8" }, body: lines.join("\r\n") };
}

/** The answer to a fault: a problem document with the tenant's own texts, or what the dialect's own gateway gives. */
export function faultAnswer(fault: Fault, call: ProxyCall): Answer {
  call.fault = fault;
  if (call.profile === "apisix" && PAGES.has(fault.code)) return pageAnswer(FAULTS[fault.code].status);
  return toProblem(fault, call.requestId, call.context?.tenant, call.head.headers.all("accept-language").join(","));
}

/** The answer when no route takes the request. */
export function routeNotFound(call: ProxyCall): Answer {
  if (call.profile === "strict") return faultAnswer(new Fault("not_found", "no route takes this request"), call);
  const body = '{"error_msg":"404 Route Not Found"}\n';
  return { status: 404, headers: { "content-type": "text/plain; charset=utf-8" }, body };
}
