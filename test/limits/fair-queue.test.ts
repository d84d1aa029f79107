import assert from "node:assert/strict";
import { getEventListeners } from "node:events";
import { describe, test } from "node:test";
import fc from "fast-check";
import { Fault } from "../../src/kernel/index.ts";
import { createFairQueue, type FairQueue, type FairTicket } from "../../src/tenancy/limits/index.ts";
import { createManualClock, type ManualClock } from "../support/clock.ts";
import { until } from "../support/until.ts";

const BOUNDS = { concurrency: 1, queueMax: 10, deadlineMs: 1_000 } as const;

/** A ticket that must be there at once. */
function atOnce(entered: FairTicket | Promise<FairTicket>): FairTicket {
  assert.ok(!(entered instanceof Promise), "it had to wait");
  return entered;
}

function waits(entered: FairTicket | Promise<FairTicket>): Promise<FairTicket> {
  assert.ok(entered instanceof Promise, "it did not wait");
  return entered;
}

function isOverloaded(error: unknown): boolean {
  return error instanceof Fault && error.code === "overloaded" && (error.public.retryAfterMs ?? 0) > 0;
}

/** Lets what was promised go on. */
async function settle(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
}

describe("a fair queue", () => {
  test("gives free places at once, and a waiting request the first that is left", async () => {
    const queue = createFairQueue({ ...BOUNDS, concurrency: 2, clock: createManualClock() });
    const first = atOnce(queue.enter("a", 1));
    const second = atOnce(queue.enter("a", 1));
    const third = waits(queue.enter("a", 1));
    assert.deepEqual([queue.active, queue.waiting], [2, 1]);
    first.leave();
    first.leave();
    const ticket = await third;
    assert.deepEqual([queue.active, queue.waiting], [2, 0]);
    for (const { leave } of [second, ticket]) leave();
    assert.deepEqual([queue.active, queue.waiting], [0, 0]);
  });

  test("lets a tenant that comes late go before the long line of another", async () => {
    const queue = createFairQueue({ ...BOUNDS, queueMax: 100, clock: createManualClock() });
    const order: string[] = [];
    const running = atOnce(queue.enter("flood", 1));
    const take = async (tenant: string): Promise<void> => {
      const ticket = await waits(queue.enter(tenant, 1));
      order.push(tenant);
      ticket.leave();
    };
    const flood = Array.from({ length: 20 }, () => take("flood"));
    const late = [take("late"), take("late")];
    running.leave();
    await Promise.all([...flood, ...late]);
    assert.deepEqual(
      order.slice(0, 4).filter((tenant) => tenant === "late"),
      ["late", "late"],
    );
  });

  test("refuses what a tenant's own line has no room for, and nobody else's", async () => {
    const queue = createFairQueue({ ...BOUNDS, queueMax: 2, clock: createManualClock() });
    const running = atOnce(queue.enter("a", 1));
    const waiting = [waits(queue.enter("a", 1)), waits(queue.enter("a", 1))];
    assert.throws(() => queue.enter("a", 1), isOverloaded);
    waiting.push(waits(queue.enter("b", 1)));
    running.leave();
    await Promise.all(waiting.map(async (ticket) => (await ticket).leave()));
    assert.deepEqual([queue.active, queue.waiting], [0, 0]);
  });

  test("gives up those whose time is over, the others stay", async () => {
    const clock = createManualClock();
    const queue = createFairQueue({ ...BOUNDS, clock });
    const running = atOnce(queue.enter("a", 1));
    const early = waits(queue.enter("a", 1));
    clock.advance(600);
    const late = waits(queue.enter("b", 1));
    const refused = assert.rejects(early, isOverloaded);
    clock.advance(400);
    running.leave();
    await refused;
    (await late).leave();
    assert.deepEqual([queue.active, queue.waiting], [0, 0]);
  });

  test("gives them up although nobody comes or leaves", async () => {
    const clock = createManualClock();
    const queue = createFairQueue({ ...BOUNDS, deadlineMs: 40, clock });
    const running = atOnce(queue.enter("a", 1));
    const refused = assert.rejects(waits(queue.enter("a", 1)), isOverloaded);
    clock.advance(40);
    await until("the queue has looked", () => queue.waiting === 0);
    await refused;
    running.leave();
    assert.equal(queue.active, 0);
  });

  test("lets a caller that went away leave, also one that had gone before", async () => {
    const queue = createFairQueue({ ...BOUNDS, clock: createManualClock() });
    const running = atOnce(queue.enter("a", 1));
    const gone = new Error("gone");
    const caller = new AbortController();
    const waiting = waits(queue.enter("a", 1, caller.signal));
    caller.abort(gone);
    await assert.rejects(waiting, gone);
    await assert.rejects(waits(queue.enter("b", 1, AbortSignal.abort(gone))), gone);
    assert.equal(queue.waiting, 0);
    running.leave();
    atOnce(queue.enter("c", 1)).leave();
  });

  test("listens to a caller no longer than it waits", async () => {
    const queue = createFairQueue({ ...BOUNDS, clock: createManualClock() });
    const running = atOnce(queue.enter("a", 1));
    const caller = new AbortController();
    const waiting = waits(queue.enter("b", 1, caller.signal));
    assert.equal(getEventListeners(caller.signal, "abort").length, 1);
    running.leave();
    const ticket = await waiting;
    assert.equal(getEventListeners(caller.signal, "abort").length, 0);
    ticket.leave();
  });

  test("takes no weight that would stop the others or nobody", () => {
    const queue = createFairQueue({ ...BOUNDS, clock: createManualClock() });
    for (const weight of [0, -1, Number.NaN, Number.POSITIVE_INFINITY]) assert.throws(() => queue.enter("a", weight), RangeError);
    assert.equal(queue.active, 0);
  });

  test("keeps every place through 10,000 requests of which many go away at any moment", async () => {
    const moves = fc.array(fc.record({ tenant: fc.nat(5), action: fc.nat(3), pick: fc.nat(), pauseMs: fc.nat(30) }), {
      minLength: 10_000,
      maxLength: 10_000,
      size: "max",
    });
    await fc.assert(
      fc.asyncProperty(moves, async (list) => {
        const clock = createManualClock();
        const queue = createFairQueue({ concurrency: 4, queueMax: 50, deadlineMs: 500, clock });
        const callers: AbortController[] = [];
        const held = new Set<FairTicket>();
        let settled = 0;
        let entered = 0;
        for (const { tenant, action, pick, pauseMs } of list) {
          if (action === 0) clock.advance(pauseMs);
          else if (action === 1) callers.splice(pick % Math.max(1, callers.length), 1)[0]?.abort(new Error("gone"));
          else if (action === 2) {
            for (const ticket of [...held].slice(0, 1 + (pick % 3))) {
              held.delete(ticket);
              ticket.leave();
            }
          } else {
            const caller = new AbortController();
            callers.push(caller);
            const ticket = tryEnter(queue, `tenant-${tenant}`, 1 + (pick % 3), caller.signal);
            if (!(ticket instanceof Promise)) {
              if (ticket) held.add(ticket);
            } else {
              entered++;
              ticket.then(
                (given) => void (settled++, held.add(given)),
                () => void settled++,
              );
            }
          }
          if (pick % 50 === 0) await settle();
          assert.ok(queue.active <= 4 && (queue.waiting === 0 || queue.active === 4), "a place was empty while one waited");
        }
        await drain(queue, held, clock);
        assert.deepEqual([queue.active, queue.waiting, settled], [0, 0, entered]);
      }),
      { numRuns: 5, seed: 58 },
    );
  });
});

function tryEnter(queue: FairQueue, tenant: string, weight: number, signal: AbortSignal): FairTicket | Promise<FairTicket> | undefined {
  try {
    return queue.enter(tenant, weight, signal);
  } catch (error) {
    assert.ok(isOverloaded(error));
    return undefined;
  }
}

async function drain(queue: FairQueue, held: Set<FairTicket>, clock: ManualClock): Promise<void> {
  await settle();
  while (held.size > 0) {
    for (const ticket of held) ticket.leave();
    held.clear();
    clock.advance(1);
    await settle();
  }
  assert.equal(queue.active, 0);
}

describe("an overloaded process", () => {
  test("sheds the newest requests of those that have their part of the work, and only them", () => {
    let overloaded = false;
    const queue = createFairQueue({ ...BOUNDS, concurrency: 100, clock: createManualClock(), overloaded: () => overloaded });
    const flood = Array.from({ length: 30 }, () => atOnce(queue.enter("flood", 1)));
    atOnce(queue.enter("small", 1));
    overloaded = true;
    assert.throws(() => queue.enter("flood", 1), isOverloaded);
    atOnce(queue.enter("small", 1));
    atOnce(queue.enter("newcomer", 1));
    for (const { leave } of flood) leave();
    atOnce(queue.enter("flood", 1));
    overloaded = false;
    for (let at = 0; at < 30; at++) atOnce(queue.enter("flood", 1));
  });

  test("grants a tenant of more weight more of the work before it sheds it", () => {
    const queue = createFairQueue({ ...BOUNDS, concurrency: 100, clock: createManualClock(), overloaded: () => true });
    atOnce(queue.enter("heavy", 9));
    atOnce(queue.enter("light", 1));
    for (let at = 0; at < 4; at++) atOnce(queue.enter("heavy", 9));
    assert.throws(() => queue.enter("light", 1), isOverloaded);
  });
});
