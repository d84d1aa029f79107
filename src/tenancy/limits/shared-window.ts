import type { LedgerWatch } from "./ledger-watch.ts";
import type { WindowLease } from "./ledger.ts";
import type { WindowDecision, WindowLimit } from "./limits.ts";
import type { LeaseRule } from "./shared-key.ts";
import { resetMsOf, spend, turnWindow, unitsLeft, type WindowUse } from "./window-use.ts";

/** A question to a shared window. */
export interface WindowRequest {
  readonly limit: WindowLimit;
  readonly cost: number;
}

/** A lease is for what is used in so long, or in a part of the window that is shorter. */
const LEASE_MS = 100;
const LEASE_PART = 20;
/** What the ledger has refused is refused without asking for so long; others may have given back what they did not use. */
const REFUSAL_MS = 100;
/** The shortest time from which a rate is reckoned: a burst is not taken for what comes next. */
const RATE_MS_MIN = 25;
/** A lease that was not used for so long is given back. */
const IDLE_MS = 250;

/** What the question under way reports and asks for. */
interface Said {
  readonly debt: number;
  readonly unused: number;
  readonly need: number;
}

const NOTHING: Said = { debt: 0, unused: 0, need: 0 };

/**
 * This gateway's view of one shared window: its lease, and the ledger's counts as of the last answer. The lease ends before the ledger's
 * window does, because its end is reckoned from when the question was sent: no unit of one window is used in the next.
 */
export class SharedWindow implements LeaseRule<WindowRequest, WindowDecision, WindowLease> {
  readonly #key: string;
  readonly #watch: LedgerWatch;
  #limit: WindowLimit;
  /** The ledger's window, when this gateway is in one. */
  #windowId = "";
  #view: WindowUse = { startMs: 0, used: 0, before: 0 };
  #heardMs = Number.NEGATIVE_INFINITY;
  #lease = 0;
  /** Units of the ledger's window that were given to this gateway. */
  #held = 0;
  #debt = 0;
  #said: Said = NOTHING;
  /** The lease at which more is asked for. */
  #low = 0;
  /** Used since the last question, for the size of the next lease. */
  #usedSince = 0;
  #askedMs: number;
  #usedMs: number;
  /** All that this gateway let through: what its own part is reckoned against. */
  readonly #own: WindowUse;

  constructor(key: string, limit: WindowLimit, watch: LedgerWatch) {
    this.#key = key;
    this.#limit = limit;
    this.#watch = watch;
    const nowMs = watch.clock.monotonic();
    this.#askedMs = nowMs;
    this.#usedMs = nowMs;
    this.#own = { startMs: nowMs, used: 0, before: 0 };
  }

  decide({ limit, cost }: WindowRequest): WindowDecision | undefined {
    const nowMs = this.#goTo(limit);
    if (cost <= this.#lease && this.#held - this.#lease + cost <= limit.count) {
      this.#lease -= cost;
      this.#use(cost, nowMs);
      return this.#decision(true, nowMs);
    }
    const refused = this.#windowId !== "" && nowMs - this.#heardMs < REFUSAL_MS && this.#left(nowMs) < cost;
    return refused ? this.#decision(false, nowMs) : undefined;
  }

  byShare({ limit, cost }: WindowRequest): WindowDecision {
    const nowMs = this.#goTo(limit);
    this.#forgiveOld(nowMs);
    const decision = spend(this.#own, { ...limit, count: this.#watch.shareOf(limit.count) }, cost, nowMs);
    if (decision.allow) {
      this.#usedSince += cost;
      this.#debt += cost;
    }
    return decision;
  }

  refuse({ limit }: WindowRequest): WindowDecision | undefined {
    const nowMs = this.#goTo(limit);
    return this.#windowId === "" ? undefined : this.#decision(false, nowMs);
  }

  get due(): boolean {
    return this.#windowId !== "" && this.#lease < this.#low;
  }

  ask(waiting: readonly WindowRequest[]): Promise<WindowLease> {
    const nowMs = this.#goTo(this.#limit);
    const { windowMs } = this.#limit;
    const need = waiting.reduce((sum, { cost }) => sum + cost, 0);
    const sinceMs = Math.max(RATE_MS_MIN, nowMs - this.#askedMs);
    this.#forgiveOld(nowMs);
    const ahead = Math.ceil((this.#usedSince / sinceMs) * Math.min(LEASE_MS, windowMs / LEASE_PART));
    const isIdle = need === 0 && this.#lease > 0 && nowMs - this.#usedMs >= IDLE_MS;
    this.#said = { debt: this.#debt, unused: isIdle ? this.#lease : 0, need };
    this.#lease -= this.#said.unused;
    this.#debt = 0;
    this.#usedSince = 0;
    this.#askedMs = nowMs;
    return this.#watch.ledger.window({
      key: this.#key,
      shape: this.#limit,
      windowId: this.#windowId,
      leftMs: this.#windowId === "" ? 0 : this.#endMs - nowMs,
      held: this.#held,
      ...this.#said,
      want: isIdle ? 0 : Math.max(0, need + ahead - this.#lease),
      gateways: this.#watch.ledger.gateways,
    });
  }

  hear({ windowId, turned, granted, used, before, elapsedMs }: WindowLease, askedMs: number): void {
    const { debt, unused, need } = this.#said;
    this.#said = NOTHING;
    const isOver = turned || this.#windowId === "";
    this.#lease = (isOver ? 0 : this.#lease) + granted;
    this.#held = (isOver ? 0 : this.#held - unused) + granted + (turned ? 0 : debt);
    this.#windowId = windowId;
    this.#view = { startMs: askedMs - elapsedMs, used, before };
    this.#heardMs = this.#watch.clock.monotonic();
    this.#low = Math.max(0, granted - need) / 2;
    this.#goTo(this.#limit);
  }

  unsaid(): void {
    this.#debt += this.#said.debt;
    this.#said = NOTHING;
  }

  tend(): boolean {
    return this.#lease > 0 && this.#goTo(this.#limit) - this.#usedMs >= IDLE_MS;
  }

  get isHolding(): boolean {
    return this.#lease > 0;
  }

  /** Monotonic milliseconds from which on nothing here is worth keeping. */
  get expiresMs(): number {
    return Math.max(this.#own.startMs, this.#view.startMs) + 2 * this.#limit.windowMs;
  }

  get #endMs(): number {
    return this.#view.startMs + this.#limit.windowMs;
  }

  #left(nowMs: number): number {
    return this.#lease + unitsLeft(this.#view, this.#limit, nowMs);
  }

  /** Takes up the limit as it is now, and leaves a window that is over. */
  #goTo(limit: WindowLimit): number {
    const nowMs = this.#watch.clock.monotonic();
    // the ledger has not been asked about this one
    if (limit.count !== this.#limit.count || limit.windowMs !== this.#limit.windowMs) this.#heardMs = Number.NEGATIVE_INFINITY;
    this.#limit = limit;
    if (this.#windowId !== "" && nowMs >= this.#endMs) {
      this.#windowId = "";
      this.#lease = 0;
      this.#held = 0;
      this.#low = 0;
    }
    return nowMs;
  }

  /** What was used without a lease in a window that is over concerns nobody any more, however long the ledger was away. */
  #forgiveOld(nowMs: number): void {
    if (nowMs - this.#own.startMs >= this.#limit.windowMs) this.#debt = 0;
  }

  #use(cost: number, nowMs: number): void {
    turnWindow(this.#own, this.#limit, nowMs);
    this.#own.used += cost;
    this.#usedSince += cost;
    this.#usedMs = nowMs;
  }

  #decision(allow: boolean, nowMs: number): WindowDecision {
    const { kind } = this.#limit;
    const remaining = Math.max(0, Math.min(this.#left(nowMs), Math.floor(this.#limit.count)));
    const resetMs = kind === "sliding" && remaining > 0 && allow ? 0 : Math.max(0, resetMsOf(this.#view, this.#limit, nowMs));
    return { allow, remaining, resetMs };
  }
}
