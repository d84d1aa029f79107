import type { Random } from "../../kernel/index.ts";

// version 00; a trace or span of zeros is none (W3C Trace Context, 3.2.2)
const INCOMING = /^00-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-([0-9a-f]{2})$/;

/**
 * The `traceparent` to send on. A valid one of the caller is continued; otherwise the trace has the request's own id, so that one look-up
 * finds both.
 */
export function traceParent(incoming: readonly string[], requestId: string, random: Random): string {
  const [, traceId, flags] = (incoming.length === 1 && INCOMING.exec(incoming[0] ?? "")) || [];
  const spanId = random.bytes(8).toString("hex");
  return `00-${traceId ?? requestId.replaceAll("-", "")}-${spanId}-${flags ?? "00"}`;
}
