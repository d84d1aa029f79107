import type { Clock } from "../../src/kernel/index.ts";

/** A clock that stands still until it is told to go on. */
export interface StandingClock extends Clock {
  advance(ms: number): void;
  readonly seconds: number;
}

export function createClock(): StandingClock {
  let elapsedMs = 0;
  const now = (): number => 1_800_000_000_000 + elapsedMs;
  return {
    now,
    monotonic: () => 5_000 + elapsedMs,
    advance: (ms) => void (elapsedMs += ms),
    get seconds() {
      return now() / 1000;
    },
  };
}
