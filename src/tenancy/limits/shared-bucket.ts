import { bucketRoom, type BucketUse, drip, emptyBucket } from "./bucket-use.ts";
import type { LedgerWatch } from "./ledger-watch.ts";
import type { BucketLease } from "./ledger.ts";
import type { BucketDecision, BucketLimit } from "./limits.ts";
import type { LeaseRule } from "./shared-key.ts";

/** A lease is for what is used in so long, and over after it: a bucket leaks, so a late use would come on top. */
const LEASE_MS = 50;
/** The shortest time from which a rate is reckoned. */
const RATE_MS_MIN = 25;
/** What the ledger has refused is refused without asking for so long at most. */
const REFUSAL_MS = 100;
/** In requests. */
const ROUNDING = 1e-9;

/** This gateway's view of one shared leaky bucket: places in the ledger's bucket that are its own, the first of which finds `excess`. */
export class SharedBucket implements LeaseRule<BucketLimit, BucketDecision, BucketLease> {
  readonly #key: string;
  readonly #watch: LedgerWatch;
  #limit: BucketLimit;
  #lease = 0;
  #excess = 0;
  #heardMs = Number.NEGATIVE_INFINITY;
  #low = 0;
  #need = 0;
  #debt = 0;
  #saidDebt = 0;
  #usedSince = 0;
  #askedMs: number;
  /** What this gateway let through on its own. */
  readonly #own: BucketUse;

  constructor(key: string, limit: BucketLimit, watch: LedgerWatch) {
    this.#key = key;
    this.#limit = limit;
    this.#watch = watch;
    this.#askedMs = watch.clock.monotonic();
    this.#own = emptyBucket(this.#askedMs);
  }

  decide(limit: BucketLimit): BucketDecision | undefined {
    const nowMs = this.#goTo(limit);
    if (this.#lease > 0 && this.#excess <= limit.burst + ROUNDING) {
      this.#lease--;
      this.#usedSince++;
      const delayMs = Math.max(0, (this.#excess++ / limit.perSecond) * 1000 - (nowMs - this.#heardMs));
      return { allow: true, delayMs };
    }
    const refused = nowMs - this.#heardMs < REFUSAL_MS && this.#excessAt(nowMs) > limit.burst + ROUNDING;
    return refused ? this.#refusal(nowMs) : undefined;
  }

  byShare(limit: BucketLimit): BucketDecision {
    const nowMs = this.#goTo(limit);
    const { gateways } = this.#watch.ledger;
    const decision = drip(this.#own, { perSecond: limit.perSecond / gateways, burst: Math.floor(limit.burst / gateways) }, nowMs);
    if (decision.allow) this.#debt++;
    return decision;
  }

  refuse(limit: BucketLimit): BucketDecision {
    return this.#refusal(this.#goTo(limit));
  }

  get due(): boolean {
    return this.#lease < this.#low;
  }

  ask(waiting: readonly BucketLimit[]): Promise<BucketLease> {
    const nowMs = this.#goTo(this.#limit);
    const { perSecond, burst } = this.#limit;
    const ahead = Math.ceil((this.#usedSince / Math.max(RATE_MS_MIN, nowMs - this.#askedMs)) * LEASE_MS);
    // a bucket that was away leaks what was let through meanwhile
    this.#saidDebt = Math.min(this.#debt, bucketRoom(emptyBucket(nowMs), this.#limit, nowMs));
    this.#debt = 0;
    this.#need = waiting.length;
    this.#usedSince = 0;
    this.#askedMs = nowMs;
    return this.#watch.ledger.bucket({
      key: this.#key,
      shape: { perSecond, burst },
      debt: this.#saidDebt,
      need: waiting.length,
      want: Math.max(0, waiting.length + ahead - this.#lease),
      gateways: this.#watch.ledger.gateways,
    });
  }

  hear({ granted, excess }: BucketLease): void {
    const nowMs = this.#watch.clock.monotonic();
    this.#saidDebt = 0;
    // places before and behind those of other gateways: the first ones wait for no longer than the last
    if (granted > 0 || this.#lease === 0) this.#excess = excess;
    this.#lease += granted;
    this.#heardMs = nowMs;
    this.#low = Math.max(0, granted - this.#need) / 2;
  }

  unsaid(): void {
    this.#debt += this.#saidDebt;
    this.#saidDebt = 0;
  }

  tend(): boolean {
    return false;
  }

  get isHolding(): boolean {
    return false;
  }

  /** Monotonic milliseconds from which on nothing here is worth keeping. */
  get expiresMs(): number {
    const { perSecond, burst } = this.#limit;
    return Math.max(this.#own.atMs, this.#heardMs) + LEASE_MS + ((burst + 1) / perSecond) * 1000;
  }

  #goTo(limit: BucketLimit): number {
    const nowMs = this.#watch.clock.monotonic();
    if (limit.perSecond !== this.#limit.perSecond || limit.burst !== this.#limit.burst) this.#heardMs = Number.NEGATIVE_INFINITY;
    this.#limit = limit;
    if (this.#lease > 0 && nowMs - this.#heardMs >= LEASE_MS) {
      this.#lease = 0;
      this.#low = 0;
    }
    return nowMs;
  }

  /** What the next request would find in the ledger's bucket if nobody else had come. */
  #excessAt(nowMs: number): number {
    return Math.max(0, this.#excess - ((nowMs - this.#heardMs) * this.#limit.perSecond) / 1000);
  }

  #refusal(nowMs: number): BucketDecision {
    return { allow: false, delayMs: (Math.max(this.#excessAt(nowMs), this.#limit.burst) / this.#limit.perSecond) * 1000 };
  }
}
