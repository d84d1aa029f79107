import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { type BucketLimit, createLimits, type LimitKey } from "../../src/tenancy/limits/index.ts";
import { createManualClock } from "../support/clock.ts";

const RUNS = 500;
const KEY: LimitKey = ["tenant", "route:1"];
const rates: fc.Arbitrary<BucketLimit> = fc.record({
  perSecond: fc.oneof(fc.integer({ min: 1, max: 1_000 }), fc.constantFrom(0.1, 1 / 3)),
  burst: fc.integer({ min: 0, max: 20 }),
  scope: fc.constant("local" as const),
});
const steps = fc.array(
  fc.record({
    pauseMs: fc.oneof(fc.constant(0), fc.double({ min: 0, max: 20, noNaN: true }), fc.integer({ min: 0, max: 20_000 })),
    requests: fc.integer({ min: 1, max: 30 }),
  }),
  { maxLength: 25 },
);

describe("a leaky bucket", () => {
  test("lets requests pass at the rate when they wait as long as they are told, with no more than the burst waiting", () => {
    fc.assert(
      fc.property(rates, steps, (limit, work) => {
        const clock = createManualClock();
        const counters = createLimits({ clock });
        const passes: number[] = [];
        for (const { pauseMs, requests } of work) {
          clock.advance(pauseMs);
          for (let at = 0; at < requests; at++) {
            const { allow, delayMs } = counters.bucket(KEY, limit);
            const longestMs = (limit.burst / limit.perSecond) * 1000;
            if (!allow) assert.ok(delayMs > longestMs * (1 - 1e-9), "refused although there was room");
            else {
              assert.ok(delayMs >= 0 && delayMs <= longestMs * (1 + 1e-9) + 1e-6);
              passes.push(clock.monotonic() + delayMs);
            }
          }
        }
        const apartMs = 1000 / limit.perSecond;
        for (const [at, passMs] of passes.entries()) {
          const previous = passes[at - 1];
          if (previous !== undefined)
            assert.ok(passMs - previous >= apartMs * (1 - 1e-6) - 1e-6, `${passMs - previous} of ${apartMs} ms apart`);
        }
      }),
      { numRuns: RUNS, seed: 58 },
    );
  });

  test("takes the burst and one at once, then what has leaked", () => {
    const clock = createManualClock();
    const counters = createLimits({ clock });
    const limit: BucketLimit = { perSecond: 10, burst: 3, scope: "local" };
    const answers = Array.from({ length: 5 }, () => counters.bucket(KEY, limit));
    assert.deepEqual(
      answers.map(({ allow, delayMs }) => [allow, delayMs]),
      [
        [true, 0],
        [true, 100],
        [true, 200],
        [true, 300],
        [false, 400],
      ],
    );
    clock.advance(100);
    assert.deepEqual([counters.bucket(KEY, limit).allow, counters.bucket(KEY, limit).allow], [true, false]);
    clock.advance(60_000);
    assert.deepEqual(counters.bucket(KEY, limit), { allow: true, delayMs: 0 });
  });

  test("takes up a changed rate with the next request; a lowered burst leaves no longer wait than it has itself", () => {
    const clock = createManualClock();
    const counters = createLimits({ clock });
    for (let at = 0; at <= 100; at++) counters.bucket(KEY, { perSecond: 10, burst: 100, scope: "local" });
    const lowered: BucketLimit = { perSecond: 10, burst: 5, scope: "local" };
    assert.equal(counters.bucket(KEY, lowered).allow, false);
    clock.advance(100);
    assert.deepEqual(counters.bucket(KEY, lowered), { allow: true, delayMs: 500 });
    assert.equal(counters.bucket(KEY, { perSecond: 1_000, burst: 50, scope: "local" }).delayMs, 6);
  });
});
