import { hostname } from "node:os";
import type { Clock } from "../../../kernel/index.ts";
import type { ExchangeEnd } from "../../../wire/index.ts";
import type { Call } from "../../proxy/plugin.ts";
import type { LoggedBodies } from "./index.ts";

/** Names of a line's fields, and texts or (after a dollar sign) variables; objects may be in objects. */
export interface LogFormat {
  readonly [name: string]: string | number | boolean | LogFormat;
}

/** Fields in a line about a call. */
export type LogEntry = Record<string, unknown>;

const REDACTED = "[redacted]";
/** What carries credentials, under whatever name a route reads it. */
const SECRET = /auth|api_?-?key|cookie|credential|jwt|passw|secret|session|signature|token|x-tenant-context/i;
/** Fields that hold an address, whose arguments may be credentials. */
const ADDRESSES: ReadonlySet<string> = new Set(["content-location", "location", "referer"]);
const DEPTH_MAX = 5;

type Part = (call: Call) => unknown;

/** Compiles the format of a line. Variables that hold credentials give `[redacted]`; deeper than five objects is cut. */
export function compileLogFormat(format: LogFormat, bodyBytesMax: number, depth = 1): (call: Call) => LogEntry {
  const parts = Object.entries(format).map(([name, value]): readonly [string, Part] => [name, partOf(value, bodyBytesMax, depth)]);
  return (call) => {
    const entry: LogEntry = {};
    for (const [name, part] of parts) entry[name] = part(call);
    return entry;
  };
}

function partOf(value: LogFormat[string], bodyBytesMax: number, depth: number): Part {
  if (typeof value === "object") return depth >= DEPTH_MAX ? () => ({}) : compileLogFormat(value, bodyBytesMax, depth + 1);
  if (typeof value !== "string" || !value.startsWith("$")) return () => value;
  const name = value.slice(1);
  if (name === "request_body") return (call) => textOf(call.bodyInMemory, bodyBytesMax);
  if (SECRET.test(name)) return () => REDACTED;
  if (name === "request_uri") return (call) => redactQuery(call.head.target.raw);
  if (name === "args" || name === "query_string") return (call) => redactArguments(call.head.target.query);
  if (name === "request") return ({ head }) => `${head.method} ${redactQuery(head.target.raw)} HTTP/${head.version}`;
  return (call) => call.variable(name);
}

/** The line that is sent when no format is set. */
export function fullEntry(
  call: Call,
  end: ExchangeEnd,
  clock: Clock,
  settings: { readonly max_req_body_bytes: number },
  bodies: LoggedBodies | undefined,
): LogEntry {
  const { head, route } = call;
  const latency = clock.monotonic() - call.startedMs;
  const upstreamLatency = call.upstreamMs;
  const uri = redactQuery(head.target.raw);
  return {
    request: {
      url: `${head.scheme}://${head.host ?? ""}:${head.localPort}${uri}`,
      uri,
      method: head.method,
      headers: toFields(head.headers.fields),
      querystring: Object.fromEntries(new URLSearchParams(redactArguments(head.target.query))),
      size: end.bytesIn,
      body: bodies?.request ? textOf(call.bodyInMemory, settings.max_req_body_bytes) : undefined,
    },
    response: {
      status: end.status,
      headers: toFields(bodies?.head.headers ?? []),
      size: end.bytesOut,
      body: bodies?.response?.toString("utf8"),
    },
    server: { hostname: hostname(), version: "freehold" },
    upstream: call.upstreamAddress,
    service_id: route ? (route.serviceId ?? "") : head.host,
    route_id: route?.id ?? "no-matched",
    tenant_id: call.context?.tenant.id,
    request_id: call.requestId,
    consumer: call.consumer && { username: call.consumer.username },
    client_ip: call.variable("remote_addr") ?? head.remoteAddress,
    start_time: clock.now() - latency,
    latency,
    upstream_latency: upstreamLatency,
    apisix_latency: Math.max(0, latency - (upstreamLatency ?? 0)),
  };
}

function toFields(fields: readonly (readonly [name: string, value: string])[]): Record<string, string> {
  const entry = new Map<string, string>();
  for (const [name, value] of fields) {
    const folded = name.toLowerCase();
    const known = entry.get(folded);
    if (SECRET.test(folded)) entry.set(folded, REDACTED);
    else if (ADDRESSES.has(folded)) entry.set(folded, redactQuery(value));
    else entry.set(folded, known === undefined ? value : `${known}, ${value}`);
  }
  return Object.fromEntries(entry);
}

function redactQuery(target: string): string {
  const mark = target.indexOf("?");
  return mark === -1 ? target : `${target.slice(0, mark)}?${redactArguments(target.slice(mark + 1))}`;
}

function redactArguments(query: string): string {
  if (!query.includes("=")) return query;
  return query
    .split("&")
    .map((pair) => {
      const equals = pair.indexOf("=");
      return equals > 0 && SECRET.test(decodeName(pair.slice(0, equals))) ? `${pair.slice(0, equals)}=${REDACTED}` : pair;
    })
    .join("&");
}

/** `%61pikey` is `apikey` to whoever reads it. */
function decodeName(name: string): string {
  try {
    return decodeURIComponent(name);
  } catch {
    return name;
  }
}

function textOf(body: Uint8Array | undefined, bytesMax: number): string | undefined {
  return body && Buffer.from(body.subarray(0, bytesMax)).toString("utf8");
}
