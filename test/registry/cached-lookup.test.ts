import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { CachedLookup, UNKNOWN_KEPT_MS } from "../../src/tenancy/registry/cached-lookup.ts";
import { createManualClock } from "../support/clock.ts";

interface Store {
  readonly values: Map<string, number>;
  readonly reads: string[][];
  readonly load: (names: readonly string[]) => Promise<ReadonlyMap<string, number>>;
}

/** A source in memory that answers a read in a later step, with what was there when it began. */
function createStore(): Store {
  const values = new Map<string, number>();
  const reads: string[][] = [];
  const load = async (names: readonly string[]): Promise<ReadonlyMap<string, number>> => {
    reads.push([...names]);
    const found = new Map([...values].filter(([name]) => names.includes(name)));
    await new Promise((resolve) => setImmediate(resolve));
    return found;
  };
  return { values, reads, load };
}

describe("a cached look-up", () => {
  test("reads an unknown name once per second, and at once after it was told of a change", async () => {
    const { values, reads, load } = createStore();
    const clock = createManualClock();
    const lookup = new CachedLookup(load, clock, 10);
    await lookup.find("a");
    for (let at = 0; at < 100; at++) assert.equal(lookup.find("a"), undefined);
    clock.advance(UNKNOWN_KEPT_MS - 1);
    assert.equal(lookup.find("a"), undefined);
    assert.equal(reads.length, 1);
    clock.advance(1);
    await lookup.find("a");
    assert.equal(reads.length, 2);
    values.set("a", 1);
    await lookup.refresh(["a"]);
    assert.equal(await lookup.find("a"), 1);
  });

  test("remembers a bounded number of unknown names", async () => {
    const { reads, load } = createStore();
    const lookup = new CachedLookup(load, createManualClock(), 10);
    await lookup.find("first");
    await Promise.all(Array.from({ length: 10_000 }, async (_, at) => await lookup.find(`u${at}`)));
    const before = reads.length;
    await lookup.find("u9999");
    assert.equal(reads.length, before);
    await lookup.find("first");
    assert.equal(reads.length, before + 1);
  });

  test("reads once, however many ask at the same time", async () => {
    const { values, reads, load } = createStore();
    values.set("a", 7);
    const lookup = new CachedLookup(load, createManualClock(), 10);
    const found = await Promise.all(Array.from({ length: 1_000 }, async () => await lookup.find("a")));
    assert.deepEqual([new Set(found), reads.length], [new Set([7]), 1]);
  });

  test("tells all who wait of a failure, and reads again for the next who asks", async () => {
    let failing = true;
    let reads = 0;
    const lookup = new CachedLookup(
      async () => {
        reads++;
        if (failing) throw new Error("away");
        return new Map([["a", 1]]);
      },
      createManualClock(),
      10,
    );
    const asked = await Promise.allSettled(Array.from({ length: 100 }, async () => await lookup.find("a")));
    assert.ok(asked.every(({ status }) => status === "rejected"));
    assert.equal(reads, 1);
    failing = false;
    assert.equal(await lookup.find("a"), 1);
  });

  test("finds every name although it holds few of them", async () => {
    const { values, load } = createStore();
    for (let at = 0; at < 100; at++) values.set(`n${at}`, at);
    const lookup = new CachedLookup(load, createManualClock(), 3);
    for (let round = 0; round < 2; round++) for (const [name, value] of values) assert.equal(await lookup.find(name), value);
    assert.deepEqual((await lookup.refreshAll()).toSorted(), ["n97", "n98", "n99"]);
  });

  test("never gives, after it was told of the last change, anything older", async () => {
    const name = fc.constantFrom("a", "b", "c");
    const step = fc.oneof(
      fc.record({ kind: fc.constant("find" as const), name }),
      fc.record({ kind: fc.constant("change" as const), name, value: fc.option(fc.nat(9), { nil: undefined }) }),
      fc.record({ kind: fc.constant("refreshAll" as const) }),
      fc.record({ kind: fc.constant("turn" as const) }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40 }), fc.integer({ min: 1, max: 3 }), async (steps, entriesMax) => {
        const { values, load } = createStore();
        const lookup = new CachedLookup(load, createManualClock(), entriesMax);
        let told = Promise.resolve();
        const finds: Promise<unknown>[] = [];
        for (const each of steps) {
          if (each.kind === "find") finds.push(Promise.resolve(lookup.find(each.name)));
          else if (each.kind === "change") {
            if (each.value === undefined) values.delete(each.name);
            else values.set(each.name, each.value);
            told = told.then(() => lookup.refresh([each.name])); // one after the other, as the feed does
          } else if (each.kind === "refreshAll") told = told.then(async () => void (await lookup.refreshAll()));
          else await new Promise((resolve) => setImmediate(resolve));
        }
        await told;
        for (const each of ["a", "b", "c"]) assert.equal(await lookup.find(each), values.get(each));
        await Promise.all(finds);
      }),
      { numRuns: 300 },
    );
  });
});
