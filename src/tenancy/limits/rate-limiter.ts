import { BoundedMap, type Clock, type RequestRate, type Tenant } from "../../kernel/index.ts";

/** Tenants whose recent rate is remembered. One that was evicted begins with a full allowance. */
const TENANTS_MAX = 200_000;
const POLICY = "requests";

/** Whether the request goes on, and what to tell the caller about the limit. */
export interface RateDecision {
  readonly allow: boolean;
  readonly policy: string;
  /** Requests that could follow at once. */
  readonly remaining: number;
  /** Until the whole allowance is back. */
  readonly resetMs: number;
  /** Until one more request would be let through; 0 when one would be now. */
  readonly retryAfterMs: number;
  readonly rate: RequestRate;
}

/** Limits requests per tenant. */
export interface RateLimiter {
  take(tenant: Tenant): RateDecision;
}

/**
 * A limit by the generic cell rate algorithm, in memory: at most `burst` requests at once and `requestsPerSecond` on average, exact for
 * this process in any window. A changed rate holds from the next request on.
 */
export function createRateLimiter(clock: Clock): RateLimiter {
  /** Per tenant: when the allowance would be full again (theoretical arrival time), in monotonic milliseconds. */
  const fullAt = new BoundedMap<string, number>(TENANTS_MAX);
  return {
    take({ uuid, rate }) {
      const now = clock.monotonic();
      const costMs = 1000 / rate.requestsPerSecond;
      const allowanceMs = costMs * rate.burst;
      // a lowered rate must not leave a debt longer than the new allowance
      const before = Math.min(Math.max(fullAt.get(uuid) ?? now, now), now + allowanceMs);
      const after = before + costMs;
      const allow = after - now <= allowanceMs + ROUNDING_MS;
      const full = allow ? after : before;
      if (allow) fullAt.set(uuid, after);
      return {
        allow,
        policy: POLICY,
        remaining: Math.max(0, Math.floor((allowanceMs - (full - now)) / costMs + ROUNDING_MS)),
        resetMs: full - now,
        retryAfterMs: Math.max(0, full + costMs - now - allowanceMs),
        rate,
      };
    },
  };
}

/** Sums of a fractional cost drift by far less than this. */
const ROUNDING_MS = 1e-6;

/** The header fields that tell a caller where it stands (IETF draft-ietf-httpapi-ratelimit-headers-10). */
export function rateHeaders({ policy, rate, remaining, resetMs }: RateDecision): Record<string, string> {
  const windowS = Math.max(1, Math.ceil(rate.burst / rate.requestsPerSecond));
  return {
    "ratelimit-policy": `"${policy}";q=${rate.burst};w=${windowS}`,
    ratelimit: `"${policy}";r=${remaining};t=${Math.ceil(resetMs / 1000)}`,
  };
}
