import type { Clock } from "../../src/kernel/index.ts";

/** A clock that stands still until it is told to go on. */
export interface ManualClock extends Clock {
  advance(ms: number): void;
  /** The wall-clock time in seconds, as tokens carry it. */
  readonly seconds: number;
}

const START_MS = 1_800_000_000_000;
/** A monotonic clock begins anywhere: what assumes 0 fails. */
const MONOTONIC_START_MS = 5_000;

/** A clock at a fixed time. */
export function createManualClock(): ManualClock {
  let elapsedMs = 0;
  const now = (): number => START_MS + elapsedMs;
  return {
    now,
    monotonic: () => MONOTONIC_START_MS + elapsedMs,
    advance: (ms) => void (elapsedMs += ms),
    get seconds() {
      return now() / 1000;
    },
  };
}
