import assert from "node:assert/strict";
import { test } from "node:test";
import { SerialQueue } from "../../src/kernel/index.ts";

test("pieces of work are done one after the other in the order in which they were given, also after one that fails", async () => {
  const queue = new SerialQueue();
  const seen: string[] = [];
  const gates = [Promise.withResolvers<void>(), Promise.withResolvers<void>()] as const;
  const piece = async (name: string, gate: Promise<void>): Promise<string> => {
    seen.push(`${name} begins`);
    await gate;
    seen.push(`${name} ends`);
    return name;
  };
  const first = queue.run(() => piece("first", gates[0].promise));
  const second = queue.run(() => piece("second", gates[1].promise));
  const third = queue.run(() => piece("third", Promise.resolve()));
  const told = assert.rejects(first, { message: "no" });
  gates[1].resolve();
  gates[0].reject(new Error("no"));
  await told;
  assert.deepEqual([await second, await third], ["second", "third"]);
  assert.deepEqual(seen, ["first begins", "second begins", "second ends", "third begins", "third ends"]);
});

test("a queue is idle when everything is done that was given before", async () => {
  const queue = new SerialQueue();
  const done: string[] = [];
  const failed = queue.run(() => Promise.reject(new Error("no")));
  void queue.run(async () => void done.push("work"));
  const idle = queue.idle();
  await assert.rejects(failed);
  await idle;
  assert.deepEqual(done, ["work"]);
});
