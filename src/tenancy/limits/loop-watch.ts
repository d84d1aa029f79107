import type { Clock } from "../../kernel/index.ts";

/** Tells whether this process keeps up with its work. */
export interface LoopWatch {
  /** Cheap: what the last look said. */
  overloaded(): boolean;
  close(): void;
}

/** Milliseconds between two looks. */
const LOOK_MS = 50;
/** So late: overloaded, when it happens twice running or is far more at once. */
const LATE_MS = 70;
const VERY_LATE_MS = 350;
const LATE_LOOKS = 2;
/** So little late, and this often running, before it counts as recovered: half-way it stays as it was. */
const WELL_MS = 20;
const WELL_LOOKS = 6;

/** Looks at how late the event loop runs a timer. It turns on at 70 ms and off at 20 ms, so that it does not flutter between. */
export function createLoopWatch(clock: Clock): LoopWatch {
  const verdict = createLagVerdict();
  let lastMs = clock.monotonic();
  let overloaded = false;
  const timer = setInterval(() => {
    const nowMs = clock.monotonic();
    overloaded = verdict(nowMs - lastMs - LOOK_MS);
    lastMs = nowMs;
  }, LOOK_MS).unref();
  return { overloaded: () => overloaded, close: () => clearInterval(timer) };
}

/** The verdict after each look, which was late by so many milliseconds. */
export function createLagVerdict(): (lateMs: number) => boolean {
  let overloaded = false;
  let running = 0;
  return (lateMs) => {
    const changes = overloaded ? lateMs < WELL_MS : lateMs >= LATE_MS;
    running = changes ? running + 1 : 0;
    if (running >= (overloaded ? WELL_LOOKS : LATE_LOOKS) || (!overloaded && lateMs >= VERY_LATE_MS)) {
      overloaded = !overloaded;
      running = 0;
    }
    return overloaded;
  };
}
