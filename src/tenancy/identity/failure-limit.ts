import { BoundedMap, type Clock, Fault } from "../../kernel/index.ts";

/** Addresses that are known to be over the bound. One that was pushed out has another entry in the trail. */
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

/** The one entry for all failures of an address over the bound, until its window ends. */
export const TOO_MANY_FAILURES = "too_many_failures";

const POLICY = "failed-credentials";

/** Whether this refuses a credential because too many have failed. */
export function isTooMany(fault: Fault): boolean {
  return fault.code === "rate_limited" && fault.public.policy === POLICY;
}

const COUNTED: FailureNote = { kind: "counted" };

/** Counts one more failure of a subscriber in its window, which begins with its first one: in this process, or for all that share it. */
export type CountFailure = (
  subscriber: string,
  limit: { readonly max: number; readonly windowMs: number },
) => { readonly allow: boolean; readonly resetMs: number };

/** A limit of `max` failures in each window of an address. */
export function createFailureLimit(
  { max, windowSeconds }: { readonly max: number; readonly windowSeconds: number },
  clock: Clock,
  count: CountFailure,
): FailureLimit {
  /** Until when it needs no further entry that an address is over. */
  const crossed = new BoundedMap<string, number>(ADDRESSES_MAX);
  const limit = { max, windowMs: windowSeconds * 1000 };
  return {
    note(remoteAddress) {
      const subscriber = subscriberOf(remoteAddress);
      const { allow, resetMs } = count(subscriber, limit);
      if (allow) return COUNTED;
      const nowMs = clock.monotonic();
      const fault = new Fault("rate_limited", `over ${max} failed credentials from ${remoteAddress}`, {
        public: { policy: POLICY, retryAfterMs: resetMs },
      });
      if ((crossed.get(subscriber) ?? 0) > nowMs) return { kind: "over", fault };
      crossed.set(subscriber, nowMs + resetMs);
      return { kind: "crossed", fault };
    },
  };
}

/**
 * What is said instead of the refusal of a failed credential, where its address has failed too often. `write` takes it down: one by one up to the
 * bound, then once (`TOO_MANY_FAILURES`) for the rest of the window, so that whoever guesses does not fill the trail.
 */
export function settleFailure(note: FailureNote, write: (tooMany?: typeof TOO_MANY_FAILURES) => void): Fault | undefined {
  if (note.kind === "counted") write();
  else if (note.kind === "crossed") write(TOO_MANY_FAILURES);
  return note.kind === "counted" ? undefined : note.fault;
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
