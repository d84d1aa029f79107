import assert from "node:assert/strict";
import { setTimeout as pause } from "node:timers/promises";

const POLL_MS = 15;
const DEADLINE_MS = 15_000;

/** Asks again and again until the answer is something, and gives it. Fails with `what` when the deadline has passed. */
export async function until<T>(what: string, ask: () => T | Promise<T>, deadlineMs = DEADLINE_MS): Promise<NonNullable<T>> {
  const end = performance.now() + deadlineMs;
  for (;;) {
    const answer = await ask();
    if (answer !== undefined && answer !== null && answer !== false) return answer;
    if (performance.now() > end) assert.fail(`after ${deadlineMs} ms still not: ${what}`);
    await pause(POLL_MS);
  }
}
