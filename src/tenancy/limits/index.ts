export { createRateLimiter, type RateDecision, rateHeaders, type RateLimiter } from "./rate-limiter.ts";
