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

/** A number from 0 up to, and not, 1, each equally likely. */
export function fractionOf(random: Random): number {
  return random.bytes(4).readUInt32BE() / 2 ** 32;
}

/** The time of this machine. */
export const systemClock: Clock = { now: () => Date.now(), monotonic: () => performance.now() };
const POOL_BYTES = 4_096;
const POOLED_MAX = 64;
let pool = Buffer.alloc(0);
let taken = 0;

/** The randomness of this machine's kernel. Small pieces are cut from one larger draw, each handed out once: a draw costs two microseconds. */
export const systemRandom: Random = {
  bytes(size) {
    if (size > POOLED_MAX) return randomBytes(size);
    if (taken + size > pool.length) {
      pool = randomBytes(POOL_BYTES);
      taken = 0;
    }
    taken += size;
    return pool.subarray(taken - size, taken);
  },
};
