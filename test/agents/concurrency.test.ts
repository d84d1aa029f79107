import assert from "node:assert/strict";
import { test } from "node:test";
import { createSlots } from "../../src/agents/concurrency.ts";
import { Fault } from "../../src/kernel/index.ts";

function isRefused(error: unknown): boolean {
  return error instanceof Fault && error.code === "concurrency_exceeded" && error.public.policy === "agent-concurrency";
}

test("a tenant has no more answers under way than it has slots", () => {
  const slots = createSlots();
  slots.take("a", 2);
  const second = slots.take("a", 2);
  assert.throws(() => slots.take("a", 2), isRefused);
  second.release();
  slots.take("a", 2);
  assert.equal(slots.inUse("a"), 2);
});

test("a slot given back many times is given back once", () => {
  const slots = createSlots();
  slots.take("a", 2);
  const second = slots.take("a", 2);
  for (let i = 0; i < 3; i++) second.release();
  assert.equal(slots.inUse("a"), 1);
});

test("the slots of tenant a are none of tenant b's", () => {
  const slots = createSlots();
  slots.take("a", 1);
  assert.throws(() => slots.take("a", 1), isRefused);
  slots.take("b", 1).release();
  assert.equal(slots.inUse("a"), 1);
  assert.equal(slots.inUse("b"), 0);
});

test("a number of slots that is no number lets nobody in", () => {
  for (const none of [0, -1, Number.NaN]) assert.throws(() => createSlots().take("a", none), isRefused);
});
