/**
 * Counters of the data plane. A key is a list of parts, the tenant (its uuid, or empty) first: two different lists never meet in one
 * counter. All decisions are made at once, in memory; where gateways share limits, a ledger (Redis) hands each of them leases in the
 * background. Where the lease cannot tell, the gateway's own part of the limit decides; `exact` waits for the ledger instead.
 */
export interface Limits {
  /** Requests per window: `fixed` begins at the key's first hit, `sliding` weighs the previous window by what of it is still in view. */
  window(key: LimitKey, limit: WindowLimit, cost?: number): WindowDecision;
  /** A leaky bucket: how long this request has to wait to keep the rate, or that it is over the burst. */
  bucket(key: LimitKey, limit: BucketLimit): BucketDecision;
  /** Work under way at once, in this process unless the scope says otherwise. */
  slot(key: LimitKey, max: number, scope?: LimitScope): Slot | undefined;
  /** Now under way in this process. */
  inUse(key: LimitKey, scope?: LimitScope): number;
  /** Where a limit counts that does not say where: among all gateways where there is a ledger, otherwise in this process. */
  readonly defaultScope: LimitScope;
  /** The same questions for callers that can wait. */
  readonly exact: ExactLimits;
}

/**
 * Decisions that keep a shared limit to the unit: at once while the lease lasts or the ledger is known to have nothing left, otherwise after
 * its answer, with no more than a fixed wait. Limits of the scope `local` are always decided at once. Without the ledger they are those of `Limits`.
 */
export interface ExactLimits {
  window(key: LimitKey, limit: WindowLimit, cost?: number): WindowDecision | Promise<WindowDecision>;
  bucket(key: LimitKey, limit: BucketLimit): BucketDecision | Promise<BucketDecision>;
  slot(key: LimitKey, max: number, scope?: LimitScope): Slot | undefined | Promise<Slot | undefined>;
}

/** Names one counter. The tenant's part is its uuid, or empty for what belongs to none. */
export type LimitKey = readonly [tenant: string, ...parts: string[]];

/** How exact a limit is between gateways: `local` counts for each process alone, `shared` through the ledger. */
export type LimitScope = "local" | "shared";

/** So many units in so long. */
export interface WindowLimit {
  readonly count: number;
  readonly windowMs: number;
  readonly kind: "fixed" | "sliding";
  readonly scope: LimitScope;
}

/** Whether a window has room, and what is left of it. */
export interface WindowDecision {
  readonly allow: boolean;
  readonly remaining: number;
  /** Until the window ends (fixed), or until one more would be let through (sliding). */
  readonly resetMs: number;
}

/** A rate that is kept by waiting. */
export interface BucketLimit {
  readonly perSecond: number;
  /** Requests over the rate that are taken. */
  readonly burst: number;
  readonly scope: LimitScope;
}

/** Whether a bucket has room. */
export interface BucketDecision {
  readonly allow: boolean;
  /** What keeps the rate when it is waited, in milliseconds; of a refusal, what it would have been. */
  readonly delayMs: number;
}

/** One place among `max`. Releasing twice is once. */
export interface Slot {
  /** How many were under way when it was taken, itself included; of other gateways as far as this one has heard. */
  readonly position: number;
  release(): void;
}

/** Who may go to a busy upstream next. */
export interface FairQueue {
  /**
   * Takes a place at once, or waits for its turn. Throws `overloaded` at once when the tenant's queue is full or work is shed, and rejects
   * with it when its time is over. A waiting request whose signal aborts leaves the queue: it rejects with the signal's reason.
   */
  enter(tenant: string, weight: number, signal?: AbortSignal): FairTicket | Promise<FairTicket>;
  readonly waiting: number;
  readonly active: number;
}

/** A place at an upstream. Leaving twice is once. */
export interface FairTicket {
  leave(): void;
}
