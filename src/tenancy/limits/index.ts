export { createLimits, type LimitsOptions } from "./create-limits.ts";
export { createFairQueue, type FairQueueOptions } from "./fair-queue.ts";
export { createLoopWatch, type LoopWatch } from "./loop-watch.ts";
export { createRateLimiter, type RateDecision, rateHeaders, type RateLimiter } from "./rate-limiter.ts";
export type {
  BucketDecision,
  BucketLimit,
  FairQueue,
  FairTicket,
  LimitKey,
  Limits,
  LimitScope,
  Slot,
  WindowDecision,
  WindowLimit,
} from "./limits.ts";
