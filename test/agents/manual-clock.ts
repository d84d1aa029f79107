import type { Clock } from "../../src/kernel/index.ts";

/** A clock that stands still until it is told to go on. */
export interface ManualClock extends Clock {
  advance(ms: number): void;
}

/** A clock at a fixed time. */
export function createManualClock(): ManualClock {
  let elapsed = 0;
  return { now: () => 1_767_225_600_000 + elapsed, monotonic: () => elapsed, advance: (ms) => (elapsed += ms) };
}
