export { createLimits, type LimitsOptions, type OpenLimits } from "./create-limits.ts";
export { createFairQueue, type FairQueueOptions } from "./fair-queue.ts";
export type { LimitLedger } from "./ledger.ts";
export { createLagVerdict, createLoopWatch, type LoopWatch } from "./loop-watch.ts";
export { createMemoryLedger, type MemoryLedger } from "./memory-ledger.ts";
export { createMessageLedger, type MessageEnd, serveLedger } from "./message-ledger.ts";
export { createRateLimiter, overRate, type RateDecision, rateHeaders, type RateLimiter } from "./rate-limiter.ts";
export { createRedisLedger, type RedisLedgerOptions } from "./redis-ledger.ts";
export { RetryBudget } from "./retry-budget.ts";
export type {
  BucketDecision,
  BucketLimit,
  ExactLimits,
  FairQueue,
  FairTicket,
  LimitKey,
  Limits,
  LimitScope,
  Slot,
  WindowDecision,
  WindowLimit,
} from "./limits.ts";
