import assert from "node:assert/strict";
import { test } from "node:test";
import {
  BREAKER_FAILURES_MAX,
  BREAKER_PROBE_RETRY_MS,
  BREAKER_REST_MS,
  type BreakerPass,
  type CallOutcome,
  createBreaker,
  outcomeOf,
} from "../../src/agents/breaker.ts";
import { Fault } from "../../src/kernel/index.ts";
import { createManualClock, type ManualClock } from "../support/clock.ts";

const ORIGIN = "https://agent.example";

interface BreakerUnderTest {
  readonly clock: ManualClock;
  /** A call of tenant a, or of another, that begins and ends. */
  readonly call: (outcome: CallOutcome, tenant?: string) => void;
  readonly enter: () => BreakerPass;
}

function breakerUnderTest(): BreakerUnderTest {
  const clock = createManualClock();
  const breaker = createBreaker(clock);
  return {
    clock,
    call: (outcome, tenant = "a") => breaker.enter(tenant, ORIGIN).end(outcome),
    enter: () => breaker.enter("a", ORIGIN),
  };
}

function isOpen(retryAfterMs: number): (error: unknown) => boolean {
  return (error) => error instanceof Fault && error.code === "circuit_open" && error.public.retryAfterMs === retryAfterMs;
}

function fail(call: (outcome: "failed") => void, times: number): void {
  for (let i = 0; i < times; i++) call("failed");
}

test("a circuit opens at the fifth failure in a row and says how long it rests", () => {
  const { clock, call } = breakerUnderTest();
  fail(call, BREAKER_FAILURES_MAX);
  assert.throws(() => call("succeeded"), isOpen(BREAKER_REST_MS));
  clock.advance(BREAKER_REST_MS - 1);
  assert.throws(() => call("succeeded"), isOpen(1));
});

test("a success in between starts the count anew, an abandoned call does not", () => {
  const { call } = breakerUnderTest();
  fail(call, BREAKER_FAILURES_MAX - 1);
  call("succeeded");
  fail(call, BREAKER_FAILURES_MAX - 1);
  call("abandoned");
  call("failed");
  assert.throws(() => call("failed"), isOpen(BREAKER_REST_MS));
});

test("after the rest one call at a time tries; its success closes the circuit", () => {
  const { clock, call, enter } = breakerUnderTest();
  fail(call, BREAKER_FAILURES_MAX);
  clock.advance(BREAKER_REST_MS);
  const probe = enter();
  assert.throws(enter, isOpen(BREAKER_PROBE_RETRY_MS));
  probe.end("succeeded");
  fail(call, BREAKER_FAILURES_MAX - 1);
  call("succeeded");
});

test("a probe that fails opens the circuit for a whole rest again", () => {
  const { clock, call } = breakerUnderTest();
  fail(call, BREAKER_FAILURES_MAX);
  clock.advance(BREAKER_REST_MS);
  call("failed");
  assert.throws(() => call("succeeded"), isOpen(BREAKER_REST_MS));
});

test("a probe whose caller went away leaves the way free for the next probe", () => {
  const { clock, call, enter } = breakerUnderTest();
  fail(call, BREAKER_FAILURES_MAX);
  clock.advance(BREAKER_REST_MS);
  enter().end("abandoned");
  call("succeeded");
  call("succeeded");
});

test("calls that began before the circuit opened cannot prolong its rest", () => {
  const { clock, call, enter } = breakerUnderTest();
  const late = Array.from({ length: BREAKER_FAILURES_MAX }, enter);
  fail(call, BREAKER_FAILURES_MAX);
  clock.advance(BREAKER_REST_MS / 2);
  for (const pass of late) pass.end("failed");
  assert.throws(() => call("succeeded"), isOpen(BREAKER_REST_MS / 2));
});

test("a call that began before the circuit opened does not speak for the probe", () => {
  const { clock, call, enter } = breakerUnderTest();
  const early = enter();
  fail(call, BREAKER_FAILURES_MAX);
  clock.advance(BREAKER_REST_MS);
  const probe = enter();
  early.end("succeeded");
  assert.throws(enter, isOpen(BREAKER_PROBE_RETRY_MS));
  probe.end("failed");
  assert.throws(enter, isOpen(BREAKER_REST_MS));
});

test("only the first end of a call counts", () => {
  const { call, enter } = breakerUnderTest();
  const pass = enter();
  for (let i = 0; i < BREAKER_FAILURES_MAX; i++) pass.end("failed");
  call("succeeded");
});

test("the circuit of one tenant says nothing about another tenant at the same origin", () => {
  const { call } = breakerUnderTest();
  fail(call, BREAKER_FAILURES_MAX);
  assert.throws(() => call("succeeded", "a"), isOpen(BREAKER_REST_MS));
  call("succeeded", "b");
});

test("a tenant that changes its address endlessly pushes out no circuit of another tenant", () => {
  const breaker = createBreaker(createManualClock());
  for (let i = 0; i < BREAKER_FAILURES_MAX; i++) breaker.enter("b", ORIGIN).end("failed");
  for (let i = 0; i < 20_000; i++) breaker.enter("a", `https://${i}.example`).end("failed");
  assert.throws(() => breaker.enter("b", ORIGIN), isOpen(BREAKER_REST_MS));
});

test("only faults of the agent count against it", () => {
  for (const code of ["upstream_invalid", "upstream_unreachable", "upstream_timeout"] as const) {
    assert.equal(outcomeOf(new Fault(code, "")), "failed");
  }
  for (const error of [
    new Fault("egress_denied", ""),
    new Fault("concurrency_exceeded", ""),
    new Fault("internal", ""),
    new Error("gone"),
  ]) {
    assert.equal(outcomeOf(error), "abandoned");
  }
});
