import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import {
  createLimits,
  createMemoryLedger,
  createMessageLedger,
  type LimitKey,
  type MessageEnd,
  type OpenLimits,
  serveLedger,
  type WindowLimit,
} from "../../src/tenancy/limits/index.ts";
import { createManualClock } from "../support/clock.ts";
import { until } from "../support/until.ts";

const KEY: LimitKey = ["tenant", "route:1"];
/** Longer than any answer takes in one process, so that none is given up. */
const PATIENT_MS = 60_000;
const IDLE_MS = 250;

function of(kind: WindowLimit["kind"], count: number, windowMs = 1_000): WindowLimit {
  return { kind, count, windowMs, scope: "shared" };
}

function openGateways(count: number) {
  const clock = createManualClock();
  const ledger = createMemoryLedger(clock);
  const join = (): OpenLimits => createLimits({ clock, ledger: ledger.join(), ledgerWaitMs: PATIENT_MS });
  return { clock, join, gateways: Array.from({ length: count }, join) };
}

async function hits(gateways: readonly OpenLimits[], limit: WindowLimit, count: number): Promise<number> {
  const decisions = await Promise.all(
    Array.from({ length: count }, async (_, at) => await gateways[at % gateways.length]?.exact.window(KEY, limit)),
  );
  return decisions.filter((decision) => decision?.allow).length;
}

async function settle(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
}

async function closeAll(gateways: readonly OpenLimits[]): Promise<void> {
  await Promise.all(gateways.map((gateway) => gateway.close()));
}

const steps = fc.array(
  fc.record({
    gateway: fc.nat(3),
    requests: fc.integer({ min: 1, max: 30 }),
    pauseMs: fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 400 }), fc.constantFrom(999, 1_000, 1_001, 2_500)),
    isTended: fc.boolean(),
  }),
  { maxLength: 30 },
);

describe("a window that gateways share", () => {
  test("is never passed by exact decisions, whoever is asked when and however many; one gateway alone loses nothing to leases", async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 4 }), fc.integer({ min: 1, max: 40 }), steps, async (count, most, work) => {
        const { clock, gateways } = openGateways(count);
        const limit = of("fixed", most);
        let startMs = Number.NEGATIVE_INFINITY;
        let admitted = 0;
        let asked = 0;
        for (const { gateway, requests, pauseMs, isTended } of work) {
          clock.advance(pauseMs);
          if (isTended) for (const each of gateways) each.tend();
          await settle();
          const at = gateways[gateway % count];
          assert.ok(at);
          if (clock.monotonic() >= startMs + limit.windowMs) {
            startMs = clock.monotonic();
            admitted = 0;
            asked = 0;
          }
          asked += requests;
          admitted += await hits([at], limit, requests);
          assert.ok(admitted <= most, `${admitted} of ${most}`);
          if (count === 1) assert.equal(admitted, Math.min(asked, most));
        }
        await closeAll(gateways);
      }),
      { numRuns: 200, seed: 55 },
    );
  });

  test("of the sliding kind never counts more than its limit in view", async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 4 }), fc.integer({ min: 1, max: 40 }), steps, async (count, most, work) => {
        const { clock, gateways } = openGateways(count);
        const limit = of("sliding", most);
        const admitted: { readonly atMs: number; readonly units: number }[] = [];
        for (const { gateway, requests, pauseMs } of work) {
          clock.advance(pauseMs);
          await settle();
          const at = gateways[gateway % count];
          assert.ok(at);
          admitted.push({ atMs: clock.monotonic(), units: await hits([at], limit, requests) });
          const inStretch = admitted.filter(({ atMs }) => atMs > clock.monotonic() - limit.windowMs);
          assert.ok(inStretch.reduce((sum, { units }) => sum + units, 0) <= 2 * most);
        }
        await closeAll(gateways);
      }),
      { numRuns: 200, seed: 54 },
    );
  });

  test("with one unit left lets one of 500 requests at once through, at whichever gateway", async () => {
    for (const kind of ["fixed", "sliding"] as const) {
      const { gateways } = openGateways(4);
      assert.equal(await hits(gateways, of(kind, 100), 99), 99);
      assert.equal(await hits(gateways, of(kind, 100), 500), 1);
      await closeAll(gateways);
    }
  });

  test("gives one gateway all that the others have leased and not used", async () => {
    const { clock, gateways } = openGateways(4);
    const limit = of("fixed", 1_000, 60_000);
    const [first, ...others] = gateways;
    assert.ok(first);
    let admitted = 0;
    for (let round = 0; round < 10; round++) {
      admitted += await hits(others, limit, 30);
      clock.advance(20);
    }
    clock.advance(IDLE_MS);
    for (const gateway of gateways) gateway.tend();
    await settle();
    admitted += await hits([first], limit, 2_000);
    assert.equal(admitted, 1_000);
    await closeAll(gateways);
  });

  test("is decided without waiting while the lease lasts and when nothing is left", async () => {
    const { clock, gateways } = openGateways(2);
    const limit = of("fixed", 10_000, 60_000);
    let waited = 0;
    let asked = 0;
    const [gateway] = gateways;
    assert.ok(gateway);
    for (let tick = 0; tick < 2_000; tick++) {
      clock.advance(1);
      asked++;
      const decision = gateway.exact.window(KEY, limit);
      if (decision instanceof Promise) waited++;
      await decision;
    }
    assert.ok(waited < asked / 100, `${waited} of ${asked} waited`);
    assert.equal((await gateway.exact.window(KEY, limit, 9_000)).allow, false);
    assert.ok(!(gateway.exact.window(KEY, limit, 9_000) instanceof Promise), "asked again about what was just refused");
    await closeAll(gateways);
  });

  test("decided at once passes its limit by no more than the parts of the gateways that had not asked", async () => {
    const { gateways } = openGateways(4);
    const limit = of("fixed", 100);
    let admitted = 0;
    for (const gateway of [...gateways, ...gateways]) {
      for (let at = 0; at < 200; at++) if (gateway.window(KEY, limit).allow) admitted++;
      await settle();
    }
    assert.ok(admitted >= 100 && admitted <= 100 + 3 * 25, `${admitted}`);
    for (const gateway of gateways) assert.equal(gateway.window(KEY, limit).allow, false);
    await closeAll(gateways);
  });

  test("takes up a changed limit with the next request at every gateway", async () => {
    const { gateways } = openGateways(3);
    assert.equal(await hits(gateways, of("fixed", 60), 30), 30);
    assert.equal(await hits(gateways, of("fixed", 20), 30), 0);
    const { remaining } = (await gateways[0]?.exact.window(KEY, of("fixed", 20))) ?? { remaining: -1 };
    assert.equal(remaining, 0);
    assert.equal(await hits(gateways, of("fixed", 80), 200), 50);
    await closeAll(gateways);
  });

  test("is not widened by a gateway that joins", async () => {
    const { gateways, join } = openGateways(1);
    assert.equal(await hits(gateways, of("fixed", 100), 90), 90);
    const all = [...gateways, join(), join()];
    assert.equal(await hits(all, of("fixed", 100), 300), 10);
    await closeAll(all);
  });
});

describe("places that gateways share", () => {
  test("are never more than allowed, and all come back", async () => {
    const moves = fc.array(fc.record({ gateway: fc.nat(3), isTake: fc.boolean(), pick: fc.nat(), pauseMs: fc.nat(300) }), {
      maxLength: 150,
    });
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 4 }), fc.integer({ min: 1, max: 12 }), moves, async (count, max, work) => {
        const { clock, gateways } = openGateways(count);
        const held: { release(): void }[] = [];
        for (const { gateway, isTake, pick, pauseMs } of work) {
          clock.advance(pauseMs);
          for (const each of gateways) each.tend();
          if (isTake) {
            const slot = await gateways[gateway % count]?.exact.slot(KEY, max, "shared");
            if (slot) held.push(slot);
          } else held.splice(pick % Math.max(1, held.length), 1)[0]?.release();
          assert.ok(held.length <= max, `${held.length} of ${max}`);
        }
        for (const slot of held) slot.release();
        clock.advance(IDLE_MS);
        for (const gateway of gateways) gateway.tend();
        await settle();
        const all = await Promise.all(Array.from({ length: max }, async () => await gateways[0]?.exact.slot(KEY, max, "shared")));
        assert.equal(all.filter((slot) => slot !== undefined).length, max);
        await closeAll(gateways);
      }),
      { numRuns: 200, seed: 58 },
    );
  });

  test("that are just being given back are not taken again meanwhile", async () => {
    const { gateways } = openGateways(2);
    const [first, second] = gateways;
    assert.ok(first && second);
    const held = [await first.exact.slot(KEY, 2, "shared"), await first.exact.slot(KEY, 2, "shared")];
    held.pop()?.release();
    await Promise.resolve(); // the ledger is told and has not answered
    held.push(...(await Promise.all([first, second].map(async (gateway) => await gateway.exact.slot(KEY, 2, "shared")))));
    assert.equal(held.filter((slot) => slot !== undefined).length, 2);
    await closeAll(gateways);
  });

  test("of a gateway that died are free after its time, those of one that lives are not", async () => {
    const { clock, gateways } = openGateways(3);
    const [dead, alive, other] = gateways;
    assert.ok(dead && alive && other);
    for (const gateway of [dead, alive]) for (let at = 0; at < 5; at++) assert.ok(await gateway.exact.slot(KEY, 10, "shared"));
    assert.equal(await other.exact.slot(KEY, 10, "shared"), undefined);
    for (let elapsedMs = 0; elapsedMs < 12_000; elapsedMs += 1_000) {
      clock.advance(1_000);
      alive.tend();
      await settle();
    }
    const slots = await Promise.all(Array.from({ length: 10 }, async () => await other.exact.slot(KEY, 10, "shared")));
    assert.equal(slots.filter((slot) => slot !== undefined).length, 5);
    await closeAll(gateways);
  });
});

describe("a leaky bucket that gateways share", () => {
  test("lets no more through than its burst and its rate", async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 4 }), fc.integer({ min: 0, max: 30 }), steps, async (count, burst, work) => {
        const { clock, gateways } = openGateways(count);
        const beginMs = clock.monotonic();
        let admitted = 0;
        for (const { gateway, requests, pauseMs } of work) {
          clock.advance(pauseMs);
          for (let at = 0; at < requests; at++) {
            const decision = await gateways[gateway % count]?.exact.bucket(KEY, { perSecond: 20, burst, scope: "shared" });
            if (decision?.allow) admitted++;
          }
          assert.ok(admitted <= 1 + burst + (20 * (clock.monotonic() - beginMs)) / 1000 + 1e-6, `${admitted}`);
        }
        await closeAll(gateways);
      }),
      { numRuns: 200, seed: 59 },
    );
  });
});

describe("a lease of a leaky bucket", () => {
  test("that was not used in time is worth nothing later", async () => {
    const { clock, gateways } = openGateways(2);
    const limit = { perSecond: 1_000, burst: 50, scope: "shared" } as const;
    for (let at = 0; at < 200; at++) {
      clock.advance(1);
      await gateways[0]?.exact.bucket(KEY, limit);
      await settle();
    }
    clock.advance(10_000);
    let admitted = 0;
    for (let at = 0; at < 200; at++) if ((await gateways[(at + 1) % 2]?.exact.bucket(KEY, limit))?.allow) admitted++;
    assert.equal(admitted, 51);
    await closeAll(gateways);
  });
});

/** Two ends of a channel that loses messages while `isBroken` says so. */
function channel(isBroken: () => boolean): readonly [MessageEnd, MessageEnd] {
  const listeners = [new Set<(message: unknown) => void>(), new Set<(message: unknown) => void>()] as const;
  const end = (own: 0 | 1): MessageEnd => ({
    send: (message) => {
      if (isBroken()) return;
      const copy: unknown = structuredClone(message);
      queueMicrotask(() => {
        for (const listener of listeners[own === 0 ? 1 : 0]) listener(copy);
      });
    },
    onMessage: (listener) => {
      listeners[own].add(listener);
      return () => void listeners[own].delete(listener);
    },
  });
  return [end(0), end(1)];
}

describe("gateways whose ledger is away", () => {
  test("let their own part through, no more and no less, and share again when it is back", async () => {
    const clock = createManualClock();
    const ledger = createMemoryLedger(clock);
    let isBroken = false;
    const gateways = Array.from({ length: 4 }, () => {
      const [near, far] = channel(() => isBroken);
      serveLedger(ledger.join(), far);
      return createLimits({ clock, ledger: createMessageLedger(near), ledgerWaitMs: 5 });
    });
    await settle();
    assert.equal(await hits(gateways, of("fixed", 100), 150), 100);
    isBroken = true;
    clock.advance(1_000);
    assert.equal(await hits(gateways, of("fixed", 100), 400), 100);
    assert.equal(await hits(gateways.slice(0, 1), of("fixed", 100), 100), 0);
    clock.advance(1_000);
    assert.equal(await hits(gateways.slice(0, 1), of("fixed", 100), 100), 25);
    assert.equal(await hits(gateways, of("fixed", 2), 100), 3, "a limit under the number of gateways is one for each that has not had it");
    isBroken = false;
    await until("the limit is shared again", async () => {
      clock.advance(1_000);
      await hits(gateways, of("fixed", 100), 4);
      await settle();
      clock.advance(1_000);
      return (await hits(gateways.slice(0, 1), of("fixed", 100), 150)) === 100;
    });
    await closeAll(gateways);
  });

  test("tell it afterwards what they let through in the window that is still open", async () => {
    const clock = createManualClock();
    const limit = of("fixed", 100, 60_000);
    let ledger = createMemoryLedger(clock);
    const channels = [channel(() => false), channel(() => false)] as const;
    let stops = channels.map(([, far]) => serveLedger(ledger.join(), far));
    const gateways = channels.map(([near]) => createLimits({ clock, ledger: createMessageLedger(near), ledgerWaitMs: PATIENT_MS }));
    await settle();
    const [first, second] = gateways;
    assert.ok(first && second);
    assert.equal(await hits([first], limit, 70), 70);
    // the other process is started anew and knows of nothing
    await Promise.all(stops.map((stop) => stop()));
    ledger = createMemoryLedger(clock);
    stops = channels.map(([, far]) => serveLedger(ledger.join(), far));
    clock.advance(200);
    assert.equal(await hits([first], limit, 1), 1);
    assert.equal((await hits([second], limit, 100)) + (await hits([first], limit, 100)), 29);
    await closeAll(gateways);
  });

  test("are not charged in a new window for what they let through in windows that are over", async () => {
    const clock = createManualClock();
    let isBroken = false;
    const [near, far] = channel(() => {
      if (isBroken) throw new Error("the channel is closed");
      return false;
    });
    serveLedger(createMemoryLedger(clock).join(), far);
    const gateway = createLimits({ clock, ledger: createMessageLedger(near), ledgerWaitMs: PATIENT_MS });
    await settle();
    isBroken = true;
    for (let window = 0; window < 5; window++) {
      assert.equal(await hits([gateway], of("fixed", 100), 150), 100);
      clock.advance(1_000);
    }
    isBroken = false;
    assert.equal(await hits([gateway], of("fixed", 100), 1), 1);
    await settle();
    assert.equal(await hits([gateway], of("fixed", 100), 150), 99);
    await closeAll([gateway]);
  });
});
