import type { LedgerWatch } from "./ledger-watch.ts";
import { SLOT_LIFE_MS, type SlotLease } from "./ledger.ts";
import type { Slot } from "./limits.ts";
import type { LeaseRule } from "./shared-key.ts";
import { HeldSlot } from "./slot-counts.ts";

/** A place, or that there is none. */
export interface SlotDecision {
  readonly slot: Slot | undefined;
}

const NONE: SlotDecision = { slot: undefined };
/** What the ledger has refused is refused without asking for so long. */
const REFUSAL_MS = 50;
/** The ledger is told again before it takes this gateway for dead. */
const RENEW_MS = SLOT_LIFE_MS / 3;
/** A place that is free here is kept for the next request for so long, while others have enough. */
const IDLE_MS = 250;
/** Of what is in use, so much more is asked for while there is plenty: so many times as much as this for each gateway. */
const AHEAD_PART = 4;
const PLENTY = 8;

/** This gateway's view of places that gateways share: those leased, of which some are in use. */
export class SharedSlots implements LeaseRule<number, SlotDecision, SlotLease> {
  readonly #key: string;
  readonly #watch: LedgerWatch;
  #max = 0;
  #used = 0;
  #leased = 0;
  #others = 0;
  #heardMs = Number.NEGATIVE_INFINITY;
  #askedMs = Number.NEGATIVE_INFINITY;
  #releasedMs = Number.NEGATIVE_INFINITY;
  /** Called when a place was given back that others wait for. */
  onScarce: () => void = () => {};

  constructor(key: string, watch: LedgerWatch) {
    this.#key = key;
    this.#watch = watch;
  }

  /** Places in use by this gateway. */
  get inUse(): number {
    return this.#used;
  }

  decide(max: number): SlotDecision | undefined {
    if (max !== this.#max) this.#heardMs = Number.NEGATIVE_INFINITY;
    this.#max = max;
    if (this.#used < this.#leased && this.#used < max) return this.#take();
    const isKnown = this.#watch.clock.monotonic() - this.#heardMs < REFUSAL_MS;
    return isKnown && this.#leased + this.#others >= max ? NONE : undefined;
  }

  byShare(max: number): SlotDecision {
    this.#max = max;
    return this.#used < Math.max(this.#watch.shareOf(max), Math.min(max, this.#leased)) ? this.#take() : NONE;
  }

  refuse(): SlotDecision {
    return NONE;
  }

  get due(): boolean {
    return this.#used > this.#leased;
  }

  ask(waiting: readonly number[]): Promise<SlotLease> {
    this.#askedMs = this.#watch.clock.monotonic();
    const { gateways } = this.#watch.ledger;
    const free = Math.max(0, this.#max - this.#others - this.#used - waiting.length);
    const isBusy = waiting.length > 0 || this.#askedMs - this.#releasedMs < IDLE_MS;
    const ahead = isBusy ? Math.floor(Math.min(this.#used / AHEAD_PART, free / (PLENTY * gateways))) : 0;
    const want = this.#used + waiting.length + ahead;
    // what is given back is not taken again before the answer
    this.#leased = Math.min(this.#leased, want);
    return this.#watch.ledger.slots({
      key: this.#key,
      max: this.#max,
      held: this.#used,
      need: waiting.length,
      want,
      gateways,
    });
  }

  hear({ granted, others }: SlotLease): void {
    this.#leased = granted;
    this.#others = others;
    this.#heardMs = this.#watch.clock.monotonic();
  }

  unsaid(): void {
    // a report replaces the last one: nothing has to be said again but what is true then
  }

  tend(): boolean {
    const nowMs = this.#watch.clock.monotonic();
    const isSpare = this.#leased > this.#used && nowMs - this.#releasedMs >= IDLE_MS;
    return isSpare || (this.isHolding && nowMs - this.#askedMs >= RENEW_MS);
  }

  get isHolding(): boolean {
    return this.#used > 0 || this.#leased > 0;
  }

  #take(): SlotDecision {
    this.#used++;
    return { slot: new HeldSlot(this.#used + this.#others, () => this.#release()) };
  }

  #release(): void {
    this.#used--;
    this.#releasedMs = this.#watch.clock.monotonic();
    if (this.#leased + this.#others >= this.#max) this.onScarce();
  }
}
