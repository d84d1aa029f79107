import { BoundedMap, type Clock, Fault } from "../../kernel/index.ts";

/** Addresses whose failures are counted. One that was pushed out begins anew. */
const ADDRESSES_MAX = 100_000;
/** Of an IPv6 address, the part that one subscriber is given (RFC 6177): the rest can be another for each request. */
const IPV6_GROUPS = 4;
const MAPPED = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i;

/** What a failed credential comes to: `counted`, `crossed` for the first one over the bound in its window, `over` for those after it. */
export type FailureNote = { readonly kind: "counted" } | { readonly kind: "crossed" | "over"; readonly fault: Fault };

/** Counts failed credentials per remote address. It is asked after a proof has failed, so that whoever proves something is never refused. */
export interface FailureLimit {
  /** `remoteAddress` is that of the connection: a field of the request can say anything. */
  note(remoteAddress: string): FailureNote;
}

const COUNTED: FailureNote = { kind: "counted" };

/** A limit of `max` failures in each window of an address, which begins with its first failure. */
export function createFailureLimit({ max, windowSeconds }: { max: number; windowSeconds: number }, clock: Clock): FailureLimit {
  const uses = new BoundedMap<string, { startMs: number; count: number }>(ADDRESSES_MAX);
  const windowMs = windowSeconds * 1000;
  return {
    note(remoteAddress) {
      const nowMs = clock.monotonic();
      const key = subscriberOf(remoteAddress);
      const known = uses.get(key);
      const use = known && nowMs - known.startMs < windowMs ? known : { startMs: nowMs, count: 0 };
      if (use !== known) uses.set(key, use);
      use.count++;
      if (use.count <= max) return COUNTED;
      const fault = new Fault("rate_limited", `over ${max} failed credentials from ${remoteAddress}`, {
        public: { policy: "failed-credentials", retryAfterMs: use.startMs + windowMs - nowMs },
      });
      return { kind: use.count === max + 1 ? "crossed" : "over", fault };
    },
  };
}

/** Who is counted as one: an IPv4 address, or the network of an IPv6 address. */
function subscriberOf(address: string): string {
  const mapped = MAPPED.exec(address)?.[1];
  if (mapped !== undefined || !address.includes(":")) return mapped ?? address;
  const [front = "", back] = address.toLowerCase().split("::", 2);
  const head = front === "" ? [] : front.split(":");
  const tail = back === undefined || back === "" ? [] : back.split(":");
  const zeros = back === undefined ? 0 : Math.max(0, 8 - head.length - tail.length);
  return [...head, ...Array.from({ length: zeros }, () => "0"), ...tail].slice(0, IPV6_GROUPS).join(":");
}
