import type { Trace } from "./context.ts";

// version 00; a trace or span of zeros is none (W3C Trace Context, 3.2.2)
const TRACEPARENT = /^00-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})$/;
const SAMPLED = 1;

/** The trace of a `traceparent`, undefined for any text that is not exactly one. */
export function parseTraceparent(text: string): Trace | undefined {
  const [, traceId, spanId, flags] = TRACEPARENT.exec(text) ?? [];
  if (traceId === undefined || spanId === undefined || flags === undefined) return undefined;
  return { traceId, spanId, sampled: (Number.parseInt(flags, 16) & SAMPLED) === SAMPLED };
}

/** The `traceparent` that says this trace. */
export function toTraceparent({ traceId, spanId, sampled }: Trace): string {
  return `00-${traceId}-${spanId}-0${sampled ? SAMPLED : 0}`;
}
