import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";
import fc from "fast-check";
import { createLimits, createMemoryLedger, type LimitKey, type Limits, type WindowLimit } from "../../src/tenancy/limits/index.ts";
import { createManualClock } from "../support/clock.ts";

const { pairs } = JSON.parse(readFileSync(new URL("../vectors/composite-key-collisions.json", import.meta.url), "utf8")) as {
  readonly pairs: readonly { readonly a: [string, ...string[]]; readonly b: [string, ...string[]] }[];
};

/** Every kind of counter, full after one request. */
const PROBES: readonly { readonly name: string; readonly take: (limits: Limits, key: LimitKey) => boolean | Promise<boolean> }[] = (
  ["local", "shared"] as const
).flatMap((scope) => [
  {
    name: `${scope} window`,
    take: async (limits, key) => (await limits.exact.window(key, { count: 1, windowMs: 60_000, kind: "fixed", scope })).allow,
  },
  { name: `${scope} bucket`, take: async (limits, key) => (await limits.exact.bucket(key, { perSecond: 0.001, burst: 0, scope })).allow },
  { name: `${scope} slot`, take: async (limits, key) => (await limits.exact.slot(key, 1, scope)) !== undefined },
]);

function open(): Limits {
  const clock = createManualClock();
  return createLimits({ clock, ledger: createMemoryLedger(clock).join() });
}

/** Whether the second key finds its counter untouched by the first. */
async function areApart(a: LimitKey, b: LimitKey): Promise<void> {
  for (const { name, take } of PROBES) {
    const limits = open();
    assert.equal(await take(limits, a), true, name);
    assert.equal(await take(limits, b), true, `${name}: ${JSON.stringify(a)} and ${JSON.stringify(b)} share a counter`);
    assert.equal(await take(limits, a), false, name);
    assert.equal(await take(limits, b), false, name);
  }
}

describe("keys of counters", () => {
  test("that would be one text when joined are not one counter", async () => {
    assert.ok(pairs.length > 0);
    for (const { a, b } of pairs) await areApart(a, b);
  });

  test("of any two different lists are not one counter", async () => {
    const part = fc.oneof(
      fc.string({ maxLength: 4 }),
      fc.stringMatching(/^[0-9:{}]{0,6}$/),
      fc.constantFrom("", ":", "1:", "1:a", "a:b", "{a}", "{", "}", "\0", "acme", "acme:minute", "é", "\ud800"),
    );
    const key = fc.tuple(part, part, fc.array(part, { maxLength: 3 })).map(([tenant, first, rest]): LimitKey => [tenant, first, ...rest]);
    await fc.assert(
      fc.asyncProperty(key, key, async (a, b) => {
        fc.pre(JSON.stringify(a) !== JSON.stringify(b));
        await areApart(a, b);
      }),
      { numRuns: 300, seed: 61 },
    );
  });
});

describe("the memory of counters", () => {
  const limit: WindowLimit = { count: 3, windowMs: 60_000, kind: "fixed", scope: "local" };

  test("is bounded, and one tenant's flood of keys does not reset the counters of others", () => {
    const counters = createLimits({ clock: createManualClock(), entriesMax: 100 });
    const victims: readonly LimitKey[] = Array.from({ length: 40 }, (_, at) => [`victim-${at % 4}`, "route", `caller-${at}`]);
    for (const key of victims) for (let at = 0; at < 4; at++) counters.window(key, limit);
    for (let at = 0; at < 10_000; at++) counters.window(["attacker", "route", `caller-${at}`], limit);
    for (const key of victims) assert.equal(counters.window(key, limit).allow, false, `${key.join("/")} began anew`);
    // the flood has pushed out its own
    assert.equal(counters.window(["attacker", "route", "caller-0"], limit).remaining, 2);
  });

  test("keeps a flood at one route away from the counters of another, also within one tenant", () => {
    const counters = createLimits({ clock: createManualClock(), entriesMax: 100 });
    const quiet: readonly LimitKey[] = Array.from({ length: 20 }, (_, at) => ["tenant", "quiet", `caller-${at}`]);
    for (const key of quiet) for (let at = 0; at < 4; at++) counters.window(key, limit);
    for (let at = 0; at < 10_000; at++) counters.window(["tenant", "flooded", `caller-${at}`], limit);
    for (const key of quiet) assert.equal(counters.window(key, limit).allow, false);
  });

  test("gives a newcomer its place in a full table, at the cost of who was idle for longest", () => {
    const counters = createLimits({ clock: createManualClock(), entriesMax: 10 });
    for (let at = 0; at < 10; at++) counters.window([`tenant-${at}`, "route"], limit, 3);
    for (let at = 1; at < 10; at++) assert.equal(counters.window([`tenant-${at}`, "route"], limit).allow, false);
    assert.equal(counters.window(["newcomer", "route"], limit, 3).allow, true);
    assert.equal(counters.window(["newcomer", "route"], limit).allow, false);
    assert.equal(counters.window(["tenant-1", "route"], limit).allow, false);
    assert.equal(counters.window(["tenant-0", "route"], limit).allow, true);
  });
});

describe("places", () => {
  test("are as many as allowed, come back when released, once however often that is, and leave nothing behind", async () => {
    const work = fc.array(fc.tuple(fc.integer({ min: 0, max: 2 }), fc.boolean(), fc.nat()), { maxLength: 120 });
    for (const scope of ["local", "shared"] as const) {
      await fc.assert(
        fc.asyncProperty(fc.integer({ min: 1, max: 5 }), work, async (max, moves) => {
          const limits = open();
          const keys: readonly LimitKey[] = [
            ["a", "x"],
            ["a", "y"],
            ["b", "x"],
          ];
          const held = keys.map((): { release(): void }[] => []);
          for (const [which, isTake, pick] of moves) {
            const key = keys[which] ?? ["", ""];
            const own = held[which] ?? [];
            if (isTake) {
              const slot = await limits.exact.slot(key, max, scope);
              assert.equal(slot !== undefined, own.length < max);
              if (slot) assert.equal(slot.position, own.push(slot));
            } else {
              const [slot] = own.splice(pick % Math.max(1, own.length), 1);
              slot?.release();
              slot?.release();
            }
            assert.equal(limits.inUse(key, scope), own.length);
          }
          for (const slot of held.flat()) slot.release();
          assert.deepEqual(
            keys.map((key) => limits.inUse(key, scope)),
            [0, 0, 0],
          );
        }),
        { numRuns: 200, seed: 60 },
      );
    }
  });

  test("that are more than a lowered limit refuse newcomers until enough have left", () => {
    const limits = open();
    const held = Array.from({ length: 4 }, () => limits.slot(["a", "x"], 4));
    assert.equal(limits.slot(["a", "x"], 2), undefined);
    held[0]?.release();
    held[1]?.release();
    assert.equal(limits.slot(["a", "x"], 2), undefined);
    held[2]?.release();
    assert.equal(limits.slot(["a", "x"], 2)?.position, 2);
  });
});
