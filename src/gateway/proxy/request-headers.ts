import { SESSION_COOKIE } from "../../tenancy/identity/index.ts";
import { type HeaderEdit, INTERNAL_FIELDS, isForgedInternal } from "../../wire/index.ts";
import type { ProxyCall } from "./call.ts";

/** What may carry a platform credential besides the session's cookie. */
const CREDENTIAL_FIELDS = ["authorization", "x-api-key", "api-key", "x-goog-api-key"] as const;

/** What the gateway sets on every request to an upstream; in lower case. */
const OBSERVED: ReadonlySet<string> = new Set(["x-real-ip", "x-forwarded-for"]);
const OBSERVED_ALONE: ReadonlySet<string> = new Set([
  ...OBSERVED,
  "x-forwarded-proto",
  "x-forwarded-host",
  "x-forwarded-port",
  "forwarded",
]);
const TENANT: ReadonlySet<string> = new Set(["x-tenant-id", "x-tenant-context", "baggage"]);
const ALL: ReadonlySet<string> = new Set([...OBSERVED_ALONE, ...TENANT, "x-request-id", "traceparent"]);
const TENANT_AND_CREDENTIALS: ReadonlySet<string> = new Set([...TENANT, ...CREDENTIAL_FIELDS]);

/**
 * Takes out of the request what only the gateway may say, before any plugin looks at it or adds to it. In the apisix profile these are the
 * tenant's fields; the others may come from outside there, as the dialect has it.
 */
export function stripForged(call: ProxyCall): void {
  const { headers } = call.head;
  const strict = call.profile === "strict";
  call.upstream.headers.removeAll(strict ? INTERNAL_FIELDS : TENANT_FORGERIES);
  // there plugins may say something else to the upstream, or nothing
  if (!strict && call.ports.trusted?.(call.head.remoteAddress) !== true) setObserved(call);
  // other spellings have an underscore or a dot, which hardly any request has
  if (!headers.odd) return;
  for (const [name] of headers.fields) {
    if (isForgedInternal(name) && (strict || isTenantField(name))) call.upstream.headers.remove(name);
  }
}

const TENANT_FORGERIES: ReadonlySet<string> = new Set(["x-tenant-id", "x-tenant-context"]);

function isTenantField(name: string): boolean {
  return /^x[-_.]tenant[-_.]/i.test(name);
}

/** Says to the upstream who is calling, through whom and for whom. */
export function setRequestHeaders(call: ProxyCall, audience: string): void {
  const { headers } = call.upstream;
  const { context, outer } = call;
  if (call.upstream.outside) return setForOutside(call, headers);
  let lines = observedLines(call, headers);
  if (context || call.profile === "strict") {
    // what the plugin request-id has set stands
    if (headers.get("x-request-id") === undefined) lines += `X-Request-ID: ${call.requestId}\r\n`;
    headers.remove("traceparent");
    lines += `traceparent: ${call.traceParent}\r\n`;
  }
  if (context) {
    const { id } = context.tenant;
    const keeps = call.compiled?.keepsCredentials === true;
    headers.removeAll(keeps ? TENANT : TENANT_AND_CREDENTIALS);
    if (!keeps) removeSession(headers);
    lines += `X-Tenant-ID: ${id}\r\nbaggage: tenant.id=${id}\r\nX-Tenant-Context: ${outer.signContext(context, audience)}\r\n`;
  }
  headers.append(lines, ALL);
}

/** Somebody else's server is told the request's id, and nothing else. */
function setForOutside(call: ProxyCall, headers: HeaderEdit): void {
  headers.removeAll(TENANT);
  if (call.profile !== "strict") return;
  headers.removeAll(OBSERVED_ALONE);
  headers.set("X-Request-ID", call.requestId);
}

/** The address of the caller and what it asked for, as lines of a head; the wire has checked all of it. Only a trusted proxy may have said so before us. */
function observedLines(call: ProxyCall, headers: HeaderEdit): string {
  const { head, ports } = call;
  const peer = head.remoteAddress;
  const trusted = ports.trusted?.(peer) === true;
  // with no list of trusted proxies the dialect's own gateway believes everybody about the earlier hops; strict believes nobody
  const keepsHops = trusted || (ports.profile === "apisix" && !ports.trusted);
  const hops = keepsHops ? headers.get("x-forwarded-for") : undefined;
  const isSaid = trusted || ports.profile === "apisix";
  headers.removeAll(isSaid ? OBSERVED : OBSERVED_ALONE);
  const lines = `X-Real-IP: ${call.remoteAddress}\r\nX-Forwarded-For: ${hops === undefined ? peer : `${hops}, ${peer}`}\r\n`;
  if (isSaid) return lines;
  return `${lines}X-Forwarded-Proto: ${head.scheme}\r\nX-Forwarded-Host: ${head.host ?? ""}\r\nX-Forwarded-Port: ${head.localPort}\r\n`;
}

/** What the caller asked for, as it arrived here. */
function setObserved({ head, upstream: { headers } }: ProxyCall): void {
  headers.set("X-Forwarded-Proto", head.scheme);
  headers.set("X-Forwarded-Host", head.host ?? "");
  headers.set("X-Forwarded-Port", String(head.localPort));
  headers.remove("Forwarded");
}

/** What proved the tenant to us would prove it to whoever gets it from the upstream. */
function removeSession(headers: HeaderEdit): void {
  const cookies = headers.get("cookie");
  if (cookies === undefined || !cookies.includes(`${SESSION_COOKIE}=`)) return;
  const kept = cookies.split(";").filter((pair) => !pair.trim().startsWith(`${SESSION_COOKIE}=`));
  if (kept.length === 0) headers.remove("cookie");
  else headers.set("Cookie", kept.join(";").trim());
}
