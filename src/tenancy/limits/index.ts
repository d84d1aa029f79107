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
