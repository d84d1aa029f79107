import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { createFairQueue, type FairQueue, type FairTicket } from "../../src/tenancy/limits/index.ts";
import { createManualClock, type ManualClock } from "../support/clock.ts";

const WINDOW_MS = 10_000;
const RUN_MS = 60_000;

/** A tenant that always has `line` requests waiting or under way, each of which takes between these times. */
interface Demand {
  readonly weight: number;
  readonly line: number;
  readonly tookMs: readonly [least: number, most: number];
}

interface Work {
  readonly tenant: number;
  readonly fromMs: number;
  readonly toMs: number;
}

/** Runs a queue in simulated time and keeps who held a place when. */
class Simulation {
  readonly work: Work[] = [];
  readonly #clock: ManualClock = createManualClock();
  readonly #queue: FairQueue;
  readonly #demands: readonly Demand[];
  readonly #running: { readonly endMs: number; readonly end: () => void }[] = [];
  #seed: number;

  constructor(demands: readonly Demand[], concurrency: number, seed: number) {
    this.#demands = demands;
    this.#seed = seed | 1;
    this.#queue = createFairQueue({ concurrency, queueMax: 1_000, deadlineMs: 10 * RUN_MS, clock: this.#clock });
  }

  async run(): Promise<void> {
    const endMs = this.#clock.monotonic() + RUN_MS;
    for (const [tenant, { line }] of this.#demands.entries()) for (let at = 0; at < line; at++) this.#ask(tenant);
    while (this.#clock.monotonic() < endMs) {
      await new Promise((resolve) => setImmediate(resolve));
      this.#running.sort((a, b) => a.endMs - b.endMs);
      const next = this.#running.shift();
      assert.ok(next, "nobody works although all have work");
      this.#clock.advance(next.endMs - this.#clock.monotonic());
      next.end();
    }
  }

  #ask(tenant: number): void {
    const entered = this.#queue.enter(`tenant-${tenant}`, this.#demands[tenant]?.weight ?? 1);
    if (entered instanceof Promise) void entered.then((ticket) => this.#begin(tenant, ticket));
    else this.#begin(tenant, entered);
  }

  #begin(tenant: number, ticket: FairTicket): void {
    const [least, most] = this.#demands[tenant]?.tookMs ?? [1, 1];
    const fromMs = this.#clock.monotonic();
    const toMs = fromMs + least + this.#random() * (most - least);
    this.#running.push({
      endMs: toMs,
      end: () => {
        this.work.push({ tenant, fromMs, toMs });
        this.#ask(tenant);
        ticket.leave();
      },
    });
  }

  #random(): number {
    this.#seed ^= this.#seed << 13;
    this.#seed ^= this.#seed >>> 17;
    this.#seed ^= this.#seed << 5;
    return (this.#seed >>> 0) / 2 ** 32;
  }
}

function heldMs(work: readonly Work[], tenant: number, fromMs: number, toMs: number): number {
  return work
    .filter((piece) => piece.tenant === tenant)
    .reduce((sum, piece) => sum + Math.max(0, Math.min(piece.toMs, toMs) - Math.max(piece.fromMs, fromMs)), 0);
}

const demand = fc.record({
  weight: fc.constantFrom(1, 1, 2, 5),
  line: fc.integer({ min: 10, max: 60 }),
  tookMs: fc.constantFrom([5, 5] as const, [1, 20] as const, [40, 60] as const, [1, 100] as const),
});

describe("the fair share of a queue", () => {
  test("every tenant with work gets its weighted part of the time over any ten seconds, whatever the others send", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(demand, { minLength: 2, maxLength: 6 }),
        fc.integer({ min: 1, max: 8 }),
        fc.integer(),
        async (demands, concurrency, seed) => {
          const simulation = new Simulation(demands, concurrency, seed);
          await simulation.run();
          const weights = demands.reduce((sum, { weight }) => sum + weight, 0);
          const longestMs = Math.max(...demands.map(({ tookMs }) => tookMs[1]));
          const beginMs = createManualClock().monotonic();
          for (const [tenant, { weight }] of demands.entries()) {
            for (let fromMs = beginMs; fromMs + WINDOW_MS <= beginMs + RUN_MS - longestMs; fromMs += WINDOW_MS / 3) {
              const part = (concurrency * WINDOW_MS * weight) / weights;
              const boundMs = 3 * (concurrency + weight) * longestMs;
              const held = heldMs(simulation.work, tenant, fromMs, fromMs + WINDOW_MS);
              assert.ok(held >= part - boundMs, `tenant ${tenant}: ${held} of ${part} ms from ${fromMs} on`);
            }
          }
        },
      ),
      { numRuns: 25, seed: 67 },
    );
  });

  test("one with fifty times the requests of another gets no more of the time", async () => {
    const simulation = new Simulation(
      [
        { weight: 1, line: 400, tookMs: [10, 10] },
        { weight: 1, line: 8, tookMs: [10, 10] },
      ],
      4,
      1,
    );
    await simulation.run();
    const beginMs = createManualClock().monotonic();
    const [flood, other] = [0, 1].map((tenant) => heldMs(simulation.work, tenant, beginMs, beginMs + RUN_MS - 10));
    assert.ok(flood !== undefined && other !== undefined && flood <= other * 1.01, `${flood} against ${other} ms`);
  });

  test("requests that take a hundred times as long get no more of the time than short ones", async () => {
    const simulation = new Simulation(
      [
        { weight: 1, line: 20, tookMs: [100, 100] },
        { weight: 1, line: 20, tookMs: [1, 1] },
      ],
      2,
      1,
    );
    await simulation.run();
    const beginMs = createManualClock().monotonic();
    const [long, short] = [0, 1].map((tenant) => heldMs(simulation.work, tenant, beginMs, beginMs + RUN_MS - 100));
    // every turn counts for a little besides
    assert.ok(long !== undefined && short !== undefined && short >= long * 0.9, `${long} against ${short} ms`);
  });

  test("a newcomer gets its part from now on, and nothing for the time when it was not there", async () => {
    const clock = createManualClock();
    const queue = createFairQueue({ concurrency: 1, queueMax: 1_000, deadlineMs: 1e9, clock });
    const turns: string[] = [];
    const take = async (tenant: string): Promise<void> => {
      const ticket = await queue.enter(tenant, 1);
      turns.push(tenant);
      clock.advance(10);
      if (turns.length === 100) for (let at = 0; at < 100; at++) void take("newcomer");
      ticket.leave();
    };
    const first = await queue.enter("old", 1);
    const line = Array.from({ length: 200 }, () => take("old"));
    first.leave();
    await Promise.all(line);
    const old = turns.slice(100, 200).filter((tenant) => tenant === "old").length;
    assert.ok(old >= 45 && old <= 55, `${old} of 100 turns for the one that was there before`);
  });

  test("a tenant that leaves for a moment does not come back as a new one", async () => {
    const clock = createManualClock();
    const queue = createFairQueue({ concurrency: 1, queueMax: 10, deadlineMs: 1e6, clock });
    const turns: string[] = [];
    const greedy = async (): Promise<void> => {
      const ticket = await queue.enter("greedy", 1);
      turns.push("greedy");
      clock.advance(100);
      ticket.leave();
    };
    const modest = async (): Promise<void> => {
      const ticket = await queue.enter("modest", 1);
      turns.push("modest");
      clock.advance(10);
      ticket.leave();
    };
    const first = queue.enter("modest", 1);
    const line = [...Array.from({ length: 10 }, modest), greedy()];
    (await first).leave();
    // one at a time: between two of them the greedy one has nothing here
    for (let at = 0; at < 3; at++) line.push(Promise.resolve(line.at(-1)).then(greedy));
    await Promise.all(line);
    const second = turns.indexOf("greedy", turns.indexOf("greedy") + 1);
    assert.ok(turns.slice(0, second).filter((tenant) => tenant === "modest").length >= 9, turns.join(" "));
  });
});
