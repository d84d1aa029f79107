import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import type { RequestRate } from "../../src/kernel/index.ts";
import { createRateLimiter, rateHeaders } from "../../src/tenancy/limits/index.ts";
import { createManualClock } from "../support/clock.ts";
import { tenantOf } from "../support/tenants.ts";

/** A list of one item of RFC 9651: a string with whole numbers as parameters. */
const POLICY = /^"requests";q=(\d{1,15});w=(\d{1,15})$/;
const STATE = /^"requests";r=(\d{1,15});t=(\d{1,15})$/;

function headersAfter(rate: RequestRate, requests: number): Record<string, string> {
  const limiter = createRateLimiter(createManualClock());
  const decisions = Array.from({ length: requests }, () => limiter.take(tenantOf("a", { rate })));
  const last = decisions.at(-1);
  assert.ok(last);
  return rateHeaders(last);
}

describe("the header fields of the rate limit", () => {
  test("name the quota, its window, what is left and when it is whole again", () => {
    assert.deepEqual(headersAfter({ requestsPerSecond: 50, burst: 100 }, 1), {
      "ratelimit-policy": '"requests";q=100;w=2',
      ratelimit: '"requests";r=99;t=1',
    });
    assert.deepEqual(headersAfter({ requestsPerSecond: 1, burst: 3 }, 5), {
      "ratelimit-policy": '"requests";q=3;w=3',
      ratelimit: '"requests";r=0;t=3',
    });
  });

  test("are whole numbers of at most 15 digits for every rate, and promise no more than goes through", () => {
    const rates = fc.record({
      requestsPerSecond: fc.double({ min: 0.001, max: 1_000_000, noNaN: true }),
      burst: fc.integer({ min: 1, max: 1_000_000 }),
    });
    fc.assert(
      fc.property(rates, fc.integer({ min: 1, max: 50 }), (rate, requests) => {
        const headers = headersAfter(rate, requests);
        const [, quota, window] = POLICY.exec(headers["ratelimit-policy"] ?? "") ?? [];
        const [, left, resetS] = STATE.exec(headers["ratelimit"] ?? "") ?? [];
        assert.ok(quota !== undefined && left !== undefined, JSON.stringify(headers));
        assert.ok(Number(left) <= Number(quota) && Number(resetS) <= Number(window));
        // whoever keeps to the quota within its window stays under the rate
        assert.ok(Number(quota) <= rate.burst + rate.requestsPerSecond * Number(window));
      }),
      { numRuns: 1_000 },
    );
  });
});
