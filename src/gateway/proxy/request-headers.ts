import { SESSION_COOKIE } from "../../tenancy/identity/index.ts";
import { type HeaderEdit, isForgedInternal } from "../../wire/index.ts";
import type { ProxyCall } from "./call.ts";

/** What may carry a platform credential besides the session's cookie. */
const CREDENTIAL_FIELDS = ["authorization", "x-api-key", "api-key", "x-goog-api-key"] as const;

/**
 * Takes out of the request what only the gateway may say, before any plugin looks at it or adds to it. In the apisix profile these are the
 * tenant's fields; the others may come from outside there, as the dialect has it.
 */
export function stripForged(call: ProxyCall): void {
  const strict = call.profile === "strict";
  for (const [name] of call.head.headers.fields) {
    // every one of them has a hyphen, an underscore or a dot, or begins with b or t: most fields are out by their first letter
    if (!mayBeForged(name.charCodeAt(0)) || !isForgedInternal(name)) continue;
    if (strict || isTenantField(name)) call.upstream.headers.remove(name);
  }
  // plugins may say something else to the upstream, or nothing
  if (call.ports.trusted?.(call.head.remoteAddress) !== true) setObserved(call);
}

function mayBeForged(first: number): boolean {
  const folded = first | 0x20;
  return folded === 0x78 || folded === 0x74 || folded === 0x62;
}

function isTenantField(name: string): boolean {
  return /^x[-_.]tenant[-_.]/i.test(name);
}

/** Says to the upstream who is calling, through whom and for whom. */
export function setRequestHeaders(call: ProxyCall, audience: string): void {
  const { headers } = call.upstream;
  setForwarded(call, headers);
  const { context } = call;
  if (!context) {
    if (call.profile === "strict") setTrace(call, headers);
    return;
  }
  if (!call.compiled?.keepsCredentials) removeCredentials(headers);
  setTrace(call, headers);
  headers.set("X-Tenant-ID", context.tenant.id);
  headers.set("baggage", `tenant.id=${context.tenant.id}`);
  headers.set("X-Tenant-Context", call.outer.signContext(context, audience));
}

function setTrace(call: ProxyCall, headers: HeaderEdit): void {
  if (headers.get("x-request-id") === undefined) headers.set("X-Request-ID", call.requestId);
  headers.set("traceparent", call.traceParent);
}

/** The address of the caller and what it asked for. Only a trusted proxy may have said so before us. */
function setForwarded(call: ProxyCall, headers: HeaderEdit): void {
  const { head, ports } = call;
  const trusted = ports.trusted?.(head.remoteAddress) === true;
  headers.set("X-Real-IP", call.remoteAddress);
  // with no list of trusted proxies the dialect's own gateway believes everybody about the earlier hops; strict believes nobody
  const keepsHops = trusted || (ports.profile === "apisix" && !ports.trusted);
  const hops = keepsHops ? headers.get("x-forwarded-for") : undefined;
  const peer = head.remoteAddress;
  headers.set("X-Forwarded-For", hops === undefined ? peer : `${hops}, ${peer}`);
}

/** What the caller asked for, as it arrived here. */
function setObserved({ head, upstream: { headers } }: ProxyCall): void {
  headers.set("X-Forwarded-Proto", head.scheme);
  headers.set("X-Forwarded-Host", head.host ?? "");
  headers.set("X-Forwarded-Port", String(head.localPort));
  headers.remove("forwarded");
}

/** What proved the tenant to us would prove it to whoever gets it from the upstream. */
function removeCredentials(headers: HeaderEdit): void {
  for (const name of CREDENTIAL_FIELDS) headers.remove(name);
  const cookies = headers.get("cookie");
  if (cookies === undefined || !cookies.includes(`${SESSION_COOKIE}=`)) return;
  const kept = cookies.split(";").filter((pair) => !pair.trim().startsWith(`${SESSION_COOKIE}=`));
  if (kept.length === 0) headers.remove("cookie");
  else headers.set("Cookie", kept.join(";").trim());
}
