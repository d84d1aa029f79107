import { randomBytes } from "node:crypto";

/** Time as a port, so that tests decide what time it is. */
export interface Clock {
  /** Wall-clock time in milliseconds since 1970 (UTC). For stamps and token life times. */
  now(): number;
  /** A time in milliseconds that never goes back. For limits, time-outs and durations. */
  monotonic(): number;
}

/** Randomness as a port. */
export interface Random {
  /** `size` unpredictable bytes. */
  bytes(size: number): Buffer;
}

/** The time of this machine. */
export const systemClock: Clock = { now: () => Date.now(), monotonic: () => performance.now() };
/** The randomness of this machine's kernel. */
export const systemRandom: Random = { bytes: (size) => randomBytes(size) };
