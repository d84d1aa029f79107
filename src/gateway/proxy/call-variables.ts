import type { ProxyCall } from "./call.ts";

type Getter = (call: ProxyCall) => string | number | undefined;

/** Variables that only a call on its way has. */
const LATE: Readonly<Record<string, Getter>> = {
  request_id: (call) => call.requestId,
  request_time: (call) => seconds(call.outer.clock.monotonic() - call.startedMs),
  msec: (call) => seconds(call.outer.clock.now()),
  time_iso8601: (call) => new Date(call.outer.clock.now()).toISOString().replace(/\.\d+Z$/, "+00:00"),
  status: (call) => call.ended?.status ?? (call.status || undefined),
  request_length: (call) => call.ended?.bytesIn,
  bytes_received: (call) => call.ended?.bytesIn,
  body_bytes_sent: (call) => call.ended?.bytesOut,
  bytes_sent: (call) => call.ended?.bytesOut,
  upstream_status: (call) => (call.upstreamStatuses.length === 0 ? undefined : call.upstreamStatuses.join(", ")),
  upstream_addr: (call) => call.upstreamAddress,
  upstream_response_time: (call) => (call.upstreamMs === undefined ? undefined : seconds(call.upstreamMs)),
  upstream_header_time: (call) => (call.upstreamMs === undefined ? undefined : seconds(call.upstreamMs)),
  upstream_uri: (call) => call.upstream.path + (call.upstream.query === "" ? "" : `?${call.upstream.query}`),
  upstream_scheme: (call) => call.upstream.scheme ?? call.triedUpstream?.settings.scheme,
  upstream_host: (call) => call.upstream.host ?? call.head.authority,
  balancer_ip: (call) => call.node?.host,
  balancer_port: (call) => call.node?.port,
};

/** The variable, or undefined when it has no value yet. */
export function lateVariable(name: string, call: ProxyCall): string | number | undefined {
  return Object.hasOwn(LATE, name) ? LATE[name]?.(call) : undefined;
}

/** As nginx writes times: seconds with milliseconds. */
function seconds(ms: number): string {
  return (ms / 1000).toFixed(3);
}
