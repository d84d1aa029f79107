import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import type { RequestRate, Tenant } from "../../src/kernel/index.ts";
import { createRateLimiter, type RateDecision, type RateLimiter } from "../../src/tenancy/limits/index.ts";
import { createManualClock } from "../support/clock.ts";
import { tenantOf } from "../support/tenants.ts";
import { SlidingReference } from "./sliding-reference.ts";

const RUNS = 500;

const rates = fc.record({
  requestsPerSecond: fc.oneof(fc.integer({ min: 1, max: 10_000 }), fc.constantFrom(0.001, 0.1, 1 / 3, 7.7, 1_000_000)),
  burst: fc.integer({ min: 1, max: 30 }),
});
/** Pauses between requests: none, a fraction of one request's cost, and long ones. */
const pauses = fc.oneof(fc.constant(0), fc.double({ min: 0, max: 20, noNaN: true }), fc.integer({ min: 0, max: 100_000 }));

function withRate(rate: RequestRate, name = "a"): Tenant {
  return tenantOf(name, { rate });
}

function takeMany(limiter: RateLimiter, tenant: Tenant, count: number): number {
  return Array.from({ length: count }, () => limiter.take(tenant)).filter(({ allow }) => allow).length;
}

describe("the rate limit", () => {
  test("lets through exactly what the sliding rule has room for, whatever the pauses", () => {
    fc.assert(
      fc.property(rates, fc.array(fc.tuple(pauses, fc.integer({ min: 1, max: 40 })), { maxLength: 30 }), (rate, steps) => {
        const clock = createManualClock();
        const limiter = createRateLimiter(clock);
        const reference = new SlidingReference();
        for (const [pauseMs, requests] of steps) {
          clock.advance(pauseMs);
          for (let at = 0; at < requests; at++) {
            const { allow } = limiter.take(withRate(rate));
            if (allow) assert.equal(reference.admit(clock.monotonic(), rate), undefined);
            else assert.ok(!reference.hasRoom(clock.monotonic() - 1e-6, rate), "refused although there was room");
          }
        }
      }),
      { numRuns: RUNS },
    );
  });

  test("holds each rate from the next request on when it is changed up or down mid-way", () => {
    const steps = fc.array(fc.tuple(rates, fc.array(fc.tuple(pauses, fc.integer({ min: 1, max: 40 })), { maxLength: 6 })), {
      maxLength: 6,
    });
    fc.assert(
      fc.property(steps, (changes) => {
        const clock = createManualClock();
        const limiter = createRateLimiter(clock);
        const reference = new SlidingReference();
        for (const [rate, requests] of changes) {
          for (const [pauseMs, count] of requests) {
            clock.advance(pauseMs);
            for (let at = 0; at < count; at++) {
              const decision = limiter.take(withRate(rate));
              if (decision.allow) assert.equal(reference.admit(clock.monotonic(), rate), undefined);
              assert.ok(decision.remaining >= 0 && decision.remaining < rate.burst);
              const longestMs = (rate.burst * 1000) / rate.requestsPerSecond;
              assert.ok(decision.resetMs <= longestMs * (1 + 1e-9), "a longer wait than the new rate has");
            }
          }
        }
      }),
      { numRuns: RUNS },
    );
  });

  test("does not give a tenant a fresh burst because its rate is lowered or raised", () => {
    const clock = createManualClock();
    const limiter = createRateLimiter(clock);
    assert.equal(takeMany(limiter, withRate({ requestsPerSecond: 100, burst: 100 }), 200), 100);
    assert.equal(takeMany(limiter, withRate({ requestsPerSecond: 1, burst: 5 }), 10), 0);
    clock.advance(1_000);
    assert.equal(takeMany(limiter, withRate({ requestsPerSecond: 1, burst: 5 }), 10), 1);
    assert.equal(takeMany(limiter, withRate({ requestsPerSecond: 1_000, burst: 10 }), 20), 5);
    clock.advance(10);
    assert.equal(takeMany(limiter, withRate({ requestsPerSecond: 1_000, burst: 10 }), 20), 10);
  });

  test("says truly what is left: so many go through at once, and then none", () => {
    fc.assert(
      fc.property(rates, fc.array(pauses, { minLength: 1, maxLength: 20 }), (rate, before) => {
        const clock = createManualClock();
        const limiter = createRateLimiter(clock);
        let last: RateDecision | undefined;
        for (const pauseMs of before) {
          clock.advance(pauseMs);
          last = limiter.take(withRate(rate));
        }
        const left = last?.remaining ?? 0;
        assert.equal(last?.retryAfterMs === 0, left > 0);
        assert.equal(takeMany(limiter, withRate(rate), left + 5), left);
      }),
      { numRuns: RUNS },
    );
  });

  test("says truly when to come back: one goes through then and no second, and none goes through before", () => {
    fc.assert(
      fc.property(rates, fc.array(pauses, { maxLength: 10 }), fc.integer({ min: 2, max: 99 }), (rate, before, percent) => {
        const clock = createManualClock();
        const limiter = createRateLimiter(clock);
        for (const pauseMs of before) {
          clock.advance(pauseMs);
          limiter.take(withRate(rate));
        }
        takeMany(limiter, withRate(rate), rate.burst);
        const refused = limiter.take(withRate(rate));
        assert.ok(!refused.allow && refused.retryAfterMs > 0);
        const early = (refused.retryAfterMs * percent) / 100;
        clock.advance(early);
        const second = limiter.take(withRate(rate));
        // a clock of doubles cannot show less than a nanosecond or so
        if (refused.retryAfterMs > 1e-2) assert.equal(second.allow, false);
        clock.advance(refused.retryAfterMs - early);
        if (!second.allow) assert.ok(limiter.take(withRate(rate)).allow);
        assert.equal(limiter.take(withRate(rate)).allow, false);
      }),
      { numRuns: RUNS },
    );
  });

  test("is full again when it says so", () => {
    const clock = createManualClock();
    const limiter = createRateLimiter(clock);
    const tenant = withRate({ requestsPerSecond: 3, burst: 7 });
    takeMany(limiter, tenant, 5);
    const { resetMs } = limiter.take(tenant);
    assert.ok(Math.abs(resetMs - 2_000) < 1e-6);
    clock.advance(resetMs);
    assert.equal(takeMany(limiter, tenant, 20), 7);
  });

  test("stays exact in a process that has run for a year", () => {
    const clock = createManualClock();
    clock.advance(365 * 86_400_000);
    const limiter = createRateLimiter(clock);
    const tenant = withRate({ requestsPerSecond: 1_000_000, burst: 1_000_000 });
    assert.equal(takeMany(limiter, tenant, 1_000_001), 1_000_000);
    clock.advance(0.125);
    assert.equal(takeMany(limiter, tenant, 1_000), 125);
  });

  test("of one tenant takes nothing from another, however alike their names", () => {
    const limiter = createRateLimiter(createManualClock());
    const rate = { requestsPerSecond: 1, burst: 3 };
    for (const name of ["a", "a-minute", "a1", "b", "requests"]) {
      assert.equal(takeMany(limiter, withRate(rate, name), 10), 3, name);
    }
  });

  test("follows the internal id: a new tenant does not inherit the use of an old one with the same name", () => {
    const limiter = createRateLimiter(createManualClock());
    const rate = { requestsPerSecond: 1, burst: 3 };
    takeMany(limiter, withRate(rate), 10);
    assert.equal(takeMany(limiter, { ...withRate(rate), uuid: tenantOf("b").uuid }, 10), 3);
  });

  test("remembers a bounded number of tenants, the ones in use", () => {
    const limiter = createRateLimiter(createManualClock(), 2);
    const rate = { requestsPerSecond: 1, burst: 3 };
    const [a, b, c] = [withRate(rate, "a"), withRate(rate, "b"), withRate(rate, "c")];
    for (const tenant of [a, b]) takeMany(limiter, tenant, 3);
    assert.equal(limiter.take(a).allow, false);
    assert.equal(takeMany(limiter, c, 3), 3); // pushes out b, which was used before a
    assert.equal(limiter.take(a).allow, false);
    assert.equal(takeMany(limiter, b, 10), 3);
  });
});
