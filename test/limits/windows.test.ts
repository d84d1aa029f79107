import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { createLimits, type LimitKey, type Limits, type WindowDecision, type WindowLimit } from "../../src/tenancy/limits/index.ts";
import type { Clock } from "../../src/kernel/index.ts";
import { createManualClock } from "../support/clock.ts";
import { WindowReference } from "./window-reference.ts";

const RUNS = 500;
const KEY: LimitKey = ["tenant", "route:1"];

const kinds = fc.constantFrom("fixed" as const, "sliding" as const);
const limits: fc.Arbitrary<WindowLimit> = fc.record({
  count: fc.integer({ min: 1, max: 20 }),
  windowMs: fc.constantFrom(1, 250, 1_000, 60_000),
  kind: kinds,
  scope: fc.constant("local" as const),
});
/** Pauses in parts of the window: none, short, its edges, beyond it. */
const pauses = fc.oneof(fc.constant(0), fc.double({ min: 0, max: 0.4, noNaN: true }), fc.constantFrom(0.25, 0.5, 0.999, 1, 1.5, 2, 7));
const steps = fc.array(fc.record({ pause: pauses, requests: fc.integer({ min: 1, max: 30 }), cost: fc.integer({ min: 1, max: 3 }) }), {
  maxLength: 25,
});

function of(kind: WindowLimit["kind"], count: number, windowMs = 1_000): WindowLimit {
  return { kind, count, windowMs, scope: "local" };
}

function hits(counters: Limits, limit: WindowLimit, count: number, cost = 1): number {
  return Array.from({ length: count }, () => counters.window(KEY, limit, cost)).filter(({ allow }) => allow).length;
}

describe("a window", () => {
  test("lets through exactly what its rule has room for, whatever the pauses and costs", () => {
    fc.assert(
      fc.property(limits, steps, (limit, work) => {
        const clock = createManualClock();
        const counters = createLimits({ clock });
        const reference = new WindowReference(limit);
        for (const { pause, requests, cost } of work) {
          clock.advance(pause * limit.windowMs);
          for (let at = 0; at < requests; at++) {
            const nowMs = clock.monotonic();
            const hasRoom = reference.hasRoom(nowMs, cost);
            assert.equal(counters.window(KEY, limit, cost).allow, hasRoom);
            if (hasRoom) reference.admit(nowMs, cost);
          }
        }
        assert.ok(reference.most <= 2 * limit.count, `${reference.most} in one stretch of a window's length`);
      }),
      { numRuns: RUNS, seed: 55 },
    );
  });

  test("says truly what is left: so many go through at once, and then none", () => {
    fc.assert(
      fc.property(limits, steps, (limit, work) => {
        const clock = createManualClock();
        const counters = createLimits({ clock });
        let last: WindowDecision | undefined;
        for (const { pause, requests } of work) {
          clock.advance(pause * limit.windowMs);
          for (let at = 0; at < requests; at++) last = counters.window(KEY, limit);
        }
        const left = last?.remaining ?? limit.count;
        assert.ok(left >= 0 && left <= limit.count);
        assert.equal(hits(counters, limit, left + 5), left);
      }),
      { numRuns: RUNS, seed: 56 },
    );
  });

  test("says truly when to come back: one goes through then, and none before", () => {
    fc.assert(
      fc.property(limits, steps, fc.integer({ min: 2, max: 99 }), (limit, work, percent) => {
        const clock = createManualClock();
        const counters = createLimits({ clock });
        for (const { pause, requests } of work) {
          clock.advance(pause * limit.windowMs);
          hits(counters, limit, requests);
        }
        hits(counters, limit, limit.count);
        const { allow, resetMs } = counters.window(KEY, limit);
        assert.ok(!allow && resetMs > 0 && resetMs <= 2 * limit.windowMs);
        const early = (resetMs * percent) / 100;
        clock.advance(early);
        // a clock of doubles cannot show less than a nanosecond or so
        if (resetMs > 1e-2) assert.equal(counters.window(KEY, limit).allow, false);
        clock.advance(resetMs - early + 1e-6);
        assert.equal(counters.window(KEY, limit).allow, true);
      }),
      { numRuns: RUNS, seed: 57 },
    );
  });

  test("of the fixed kind begins with its first hit, and ends for all of it at once", () => {
    const clock = createManualClock();
    const counters = createLimits({ clock });
    clock.advance(700);
    assert.deepEqual(counters.window(KEY, of("fixed", 2)), { allow: true, remaining: 1, resetMs: 1_000 });
    clock.advance(999);
    assert.deepEqual(counters.window(KEY, of("fixed", 2)), { allow: true, remaining: 0, resetMs: 1 });
    assert.deepEqual(counters.window(KEY, of("fixed", 2)), { allow: false, remaining: 0, resetMs: 1 });
    clock.advance(1);
    assert.deepEqual(counters.window(KEY, of("fixed", 2)), { allow: true, remaining: 1, resetMs: 1_000 });
  });

  test("of the sliding kind forgets the window before little by little", () => {
    const clock = createManualClock();
    const counters = createLimits({ clock });
    assert.equal(hits(counters, of("sliding", 10), 20), 10);
    clock.advance(1_000);
    assert.equal(hits(counters, of("sliding", 10), 20), 0);
    clock.advance(500);
    assert.equal(hits(counters, of("sliding", 10), 20), 5);
    clock.advance(400);
    assert.equal(hits(counters, of("sliding", 10), 20), 4);
  });

  test("does not count what it refused, nor what costs nothing", () => {
    for (const kind of ["fixed", "sliding"] as const) {
      const counters = createLimits({ clock: createManualClock() });
      assert.equal(counters.window(KEY, of(kind, 10), 8).remaining, 2);
      assert.deepEqual([counters.window(KEY, of(kind, 10), 3).allow, counters.window(KEY, of(kind, 10), 0).allow], [false, true]);
      assert.equal(hits(counters, of(kind, 10), 5), 2);
    }
  });

  test("cannot be opened by a cost that is no amount", () => {
    const counters = createLimits({ clock: createManualClock() });
    for (const cost of [-1, -1e9, Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
      assert.throws(() => counters.window(KEY, of("fixed", 10), cost), RangeError);
    }
    assert.equal(hits(counters, of("fixed", 10), 20), 10);
  });

  test("takes up a changed limit with the next request, and never says that less than nothing is left", () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(limits, pauses, fc.integer({ min: 1, max: 30 })), { maxLength: 20 }), (changes) => {
        const clock = createManualClock();
        const counters = createLimits({ clock });
        for (const [limit, pause, requests] of changes) {
          clock.advance(pause * limit.windowMs);
          let admitted = 0;
          for (let at = 0; at < requests; at++) {
            const { allow, remaining, resetMs } = counters.window(KEY, limit);
            if (allow) admitted++;
            assert.ok(remaining >= 0 && remaining <= limit.count && resetMs >= 0 && resetMs <= 2 * limit.windowMs);
          }
          assert.ok(admitted <= limit.count);
        }
      }),
      { numRuns: RUNS, seed: 69 },
    );
  });

  test("counts what was used before the limit was lowered or raised against the new one", () => {
    const counters = createLimits({ clock: createManualClock() });
    assert.equal(hits(counters, of("fixed", 10), 8), 8);
    assert.deepEqual(counters.window(KEY, of("fixed", 5)), { allow: false, remaining: 0, resetMs: 1_000 });
    assert.equal(hits(counters, of("fixed", 12), 20), 4);
  });

  test("does not look at the clock on the wall", () => {
    const steady = createManualClock();
    let wall = 0;
    const clock: Clock = { now: () => steady.now() + wall, monotonic: () => steady.monotonic() };
    const counters = createLimits({ clock });
    assert.equal(hits(counters, of("fixed", 5, 60_000), 10), 5);
    for (const jumpMs of [3_600_000, -7_200_000, 1_000]) {
      wall += jumpMs;
      assert.equal(hits(counters, of("fixed", 5, 60_000), 10), 0);
    }
  });
});
