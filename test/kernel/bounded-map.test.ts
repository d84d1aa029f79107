import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { BoundedMap } from "../../src/kernel/index.ts";

/** The same promise kept the slow way: a list, the one not used for longest first. */
class ListModel {
  entries: [string, number][] = [];
  readonly entriesMax: number;

  constructor(entriesMax: number) {
    this.entriesMax = entriesMax;
  }

  get(key: string): number | undefined {
    const found = this.entries.find(([each]) => each === key);
    if (found) this.entries = [...this.entries.filter((each) => each !== found), found];
    return found?.[1];
  }

  /** Gives what had to go. */
  set(key: string, value: number): [string, number] | undefined {
    this.entries = [...this.entries.filter(([each]) => each !== key), [key, value]];
    return this.entries.length > this.entriesMax ? this.entries.shift() : undefined;
  }
}

describe("a bounded map", () => {
  test("does the same as a list from which the one not used for longest goes first", () => {
    const key = fc.constantFrom("a", "b", "c", "d", "e", "__proto__", "");
    const step = fc.oneof(
      fc.tuple(fc.constant("set" as const), key, fc.nat(9)),
      fc.tuple(fc.constantFrom("get" as const, "peek" as const, "delete" as const, "clear" as const), key, fc.constant(0)),
    );
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 4 }), fc.array(step, { maxLength: 60 }), (entriesMax, steps) => {
        const model = new ListModel(entriesMax);
        const gone: [string, number][] = [];
        const wentFromModel: [string, number][] = [];
        const map = new BoundedMap<string, number>(entriesMax, (name, value) => void gone.push([name, value]));
        for (const [action, name, value] of steps) {
          if (action === "set") {
            map.set(name, value);
            const went = model.set(name, value);
            if (went) wentFromModel.push(went);
          } else if (action === "get") assert.equal(map.get(name), model.get(name));
          else if (action === "peek") assert.equal(map.peek(name), model.entries.find(([each]) => each === name)?.[1]);
          else if (action === "clear") {
            map.clear();
            model.entries = [];
          } else {
            assert.equal(
              map.delete(name),
              model.entries.some(([each]) => each === name),
            );
            model.entries = model.entries.filter(([each]) => each !== name);
          }
          assert.deepEqual([...map.entries()], model.entries);
          assert.deepEqual(gone, wentFromModel);
          assert.ok(map.size <= entriesMax);
        }
      }),
      { numRuns: 1_000 },
    );
  });

  test("cannot be made without a bound", () => {
    for (const entriesMax of [0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY]) {
      assert.throws(() => new BoundedMap(entriesMax), RangeError, String(entriesMax));
    }
  });
});
