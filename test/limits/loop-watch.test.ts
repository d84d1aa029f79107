import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { systemClock } from "../../src/kernel/index.ts";
import { createLagVerdict, createLoopWatch } from "../../src/tenancy/limits/index.ts";
import { until } from "../support/until.ts";

function after(lates: readonly number[]): boolean {
  const verdict = createLagVerdict();
  return lates.map((lateMs) => verdict(lateMs)).at(-1) ?? false;
}

describe("the watch over the event loop", () => {
  test("sees a process that does not keep up, and one that does again", async () => {
    const watch = createLoopWatch(systemClock);
    assert.equal(watch.overloaded(), false);
    await until("it is overloaded", () => {
      const busyUntil = performance.now() + 400;
      while (performance.now() < busyUntil);
      return watch.overloaded();
    });
    await until("it has recovered", () => !watch.overloaded());
    watch.close();
  });

  test("takes one late look for an accident, two running or a very late one for overload", () => {
    assert.equal(after([0, 100, 0, 100, 0]), false);
    assert.equal(after([0, 100, 100]), true);
    assert.equal(after([0, 400]), true);
  });

  test("does not flutter: half-way it stays as it was, and it recovers only after it was well for a while", () => {
    assert.equal(after([50, 50, 50, 50, 50, 50]), false);
    assert.equal(after([400, 50, 50, 50, 50, 50, 50, 50]), true);
    assert.equal(after([400, 0, 0, 0, 0, 0]), true);
    assert.equal(after([400, 0, 0, 0, 0, 0, 0]), false);
    assert.equal(after([400, 0, 0, 0, 0, 0, 50, 0]), true);
  });
});
