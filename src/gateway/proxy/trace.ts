// version 00; a trace or span of zeros is none (W3C Trace Context, 3.2.2)
const INCOMING = /^00-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-([0-9a-f]{2})$/;

/**
 * The `traceparent` to send on. A valid one of the caller is continued; otherwise the trace has the request's own id, so that one look-up
 * finds both.
 */
export function traceParent(incoming: readonly string[], requestId: string): string {
  const [, traceId, flags] = (incoming.length === 1 && INCOMING.exec(incoming[0] ?? "")) || [];
  // the end of the id is random: 62 bits, which no other request has
  const spanId = requestId.slice(19, 23) + requestId.slice(24);
  const own = requestId.slice(0, 8) + requestId.slice(9, 13) + requestId.slice(14, 18) + spanId;
  return `00-${traceId ?? own}-${spanId}-${flags ?? "00"}`;
}
