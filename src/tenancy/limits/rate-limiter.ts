import { BoundedMap, type Clock, Fault, type RequestRate, type Tenant } from "../../kernel/index.ts";

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

/** What is in use of a tenant's burst, in requests, at a monotonic time. It shrinks by the tenant's rate. */
interface Use {
  requests: number;
  atMs: number;
}

/**
 * A limit by the generic cell rate algorithm, in memory: at most `burst` requests at once and `requestsPerSecond` on average, exact for
 * this process in any window. A changed rate holds from the next request on, and what was used before counts against it.
 */
export function createRateLimiter(clock: Clock, tenantsMax = TENANTS_MAX): RateLimiter {
  const uses = new BoundedMap<string, Use>(tenantsMax);
  const begin = (uuid: string, atMs: number): Use => {
    const use: Use = { requests: 0, atMs };
    uses.set(uuid, use);
    return use;
  };
  return {
    take({ uuid, rate }) {
      const perMs = rate.requestsPerSecond / 1000;
      const now = clock.monotonic();
      const use = uses.get(uuid) ?? begin(uuid, now);
      // a lowered burst must not leave a longer wait than it would have itself
      const before = Math.min(Math.max(0, use.requests - (now - use.atMs) * perMs), rate.burst);
      const allow = before + 1 <= rate.burst + ROUNDING;
      const requests = allow ? before + 1 : before;
      use.requests = requests;
      use.atMs = now;
      return {
        allow,
        policy: POLICY,
        remaining: Math.max(0, Math.floor(rate.burst - requests + ROUNDING)),
        resetMs: requests / perMs,
        retryAfterMs: requests + 1 <= rate.burst + ROUNDING ? 0 : (requests + 1 - rate.burst) / perMs,
        rate,
      };
    },
  };
}

/** What a tenant is told whose request does not go on. */
export function overRate({ id }: Tenant, { rate, policy, retryAfterMs }: RateDecision): Fault {
  return new Fault("rate_limited", `${id} is over ${rate.requestsPerSecond}/s`, { public: { policy, retryAfterMs } });
}

/** In requests. Sums of fractions drift by far less. */
const ROUNDING = 1e-6;

/** The header fields that tell a caller where it stands (IETF draft-ietf-httpapi-ratelimit-headers-10). */
export function rateHeaders({ policy, rate, remaining, resetMs }: RateDecision): Record<string, string> {
  const windowS = Math.max(1, Math.ceil(rate.burst / rate.requestsPerSecond));
  return {
    "ratelimit-policy": `"${policy}";q=${rate.burst};w=${windowS}`,
    ratelimit: `"${policy}";r=${remaining};t=${Math.min(windowS, Math.ceil(resetMs / 1000))}`,
  };
}
