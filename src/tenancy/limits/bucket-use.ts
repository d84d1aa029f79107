import type { BucketDecision, BucketLimit } from "./limits.ts";

/** How far a leaky bucket is filled, in requests, at a monotonic time. It leaks at the rate. */
export interface BucketUse {
  excess: number;
  atMs: number;
}

/** What a bucket's arithmetic needs to know. */
export type BucketShape = Pick<BucketLimit, "perSecond" | "burst">;

/** In requests. Sums of fractions drift by far less. */
const ROUNDING = 1e-9;

/** The excess of a bucket that was never used: the first request finds none. */
export const BUCKET_EMPTY = -1;

/** A bucket that was never used. */
export function emptyBucket(nowMs: number): BucketUse {
  return { excess: BUCKET_EMPTY, atMs: nowMs };
}

/** What the next request would raise the excess to. */
export function nextExcess(use: BucketUse, { perSecond, burst }: BucketShape, nowMs: number): number {
  // a lowered burst must not leave a longer wait than it would have itself
  const before = Math.min(use.excess, burst);
  return Math.max(before - ((nowMs - use.atMs) * perSecond) / 1000 + 1, 0);
}

/** How many requests could be taken now, all at once. */
export function bucketRoom(use: BucketUse, shape: BucketShape, nowMs: number): number {
  return Math.max(0, Math.floor(shape.burst - nextExcess(use, shape, nowMs) + ROUNDING) + 1);
}

/** Takes so many requests; there must be room for them. Gives the excess of the first. */
export function fillBucket(use: BucketUse, shape: BucketShape, requests: number, nowMs: number): number {
  const first = nextExcess(use, shape, nowMs);
  use.excess = first + requests - 1;
  use.atMs = nowMs;
  return first;
}

/** Takes one request if there is room for it. What is refused does not fill the bucket. */
export function drip(use: BucketUse, shape: BucketShape, nowMs: number): BucketDecision {
  const excess = nextExcess(use, shape, nowMs);
  const delayMs = (excess / shape.perSecond) * 1000;
  if (excess > shape.burst + ROUNDING) return { allow: false, delayMs };
  use.excess = excess;
  use.atMs = nowMs;
  return { allow: true, delayMs };
}
