import type { Clock } from "../../kernel/index.ts";
import { KeyTable, keyText } from "./key-table.ts";
import { LedgerWatch } from "./ledger-watch.ts";
import type { BucketLease, LimitLedger, SlotLease, WindowLease } from "./ledger.ts";
import type { BucketDecision, BucketLimit, LimitKey, WindowDecision, WindowLimit } from "./limits.ts";
import { SharedBucket } from "./shared-bucket.ts";
import { type LeaseRule, SharedKey } from "./shared-key.ts";
import { type SlotDecision, SharedSlots } from "./shared-slots.ts";
import { SharedWindow, type WindowRequest } from "./shared-window.ts";

/** A shared counter that is kept in a table. */
class SharedEntry<Request, Decision, Answer> extends SharedKey<Request, Decision, Answer> {
  readonly #expires: { readonly expiresMs: number };

  constructor(
    rule: LeaseRule<Request, Decision, Answer> & { readonly expiresMs: number },
    watch: LedgerWatch,
    onHeard: (entry: Tended) => void,
  ) {
    super(rule, watch, () => onHeard(this));
    this.#expires = rule;
  }

  get expiresMs(): number {
    return this.#expires.expiresMs;
  }
}

/** A counter with something of the ledger's, which has to be given back or renewed in time. */
interface Tended {
  readonly rule: { tend(): boolean; readonly isHolding: boolean };
  readonly isAsking: boolean;
  tellAnew(): void;
}

type WindowKey = SharedEntry<WindowRequest, WindowDecision, WindowLease>;
type BucketKey = SharedEntry<BucketLimit, BucketDecision, BucketLease>;

/** The shared counters of one gateway. Those with places in use are bounded by the work under way, the others by `entriesMax` for each kind. */
export class SharedLimits {
  readonly #watch: LedgerWatch;
  readonly #windows: KeyTable<WindowKey>;
  readonly #buckets: KeyTable<BucketKey>;
  readonly #slots = new Map<string, SharedKey<number, SlotDecision, SlotLease>>();
  /** Value: what to do when it holds nothing any more. */
  readonly #tended = new Map<Tended, () => void>();

  constructor(ledger: LimitLedger, clock: Clock, waitMs: number, entriesMax: number) {
    this.#watch = new LedgerWatch(ledger, clock, waitMs);
    this.#windows = new KeyTable(entriesMax);
    this.#buckets = new KeyTable(entriesMax);
  }

  window(key: LimitKey, limit: WindowLimit): WindowKey {
    const known = this.#windows.get(key);
    if (known) return known;
    const entry: WindowKey = new SharedEntry(new SharedWindow(`w${keyText(key)}`, limit, this.#watch), this.#watch, this.#hold);
    this.#windows.add(key, entry, this.#watch.clock.monotonic());
    return entry;
  }

  bucket(key: LimitKey, limit: BucketLimit): BucketKey {
    const known = this.#buckets.get(key);
    if (known) return known;
    const entry: BucketKey = new SharedEntry(new SharedBucket(`b${keyText(key)}`, limit, this.#watch), this.#watch, () => {});
    this.#buckets.add(key, entry, this.#watch.clock.monotonic());
    return entry;
  }

  slots(key: LimitKey): SharedKey<number, SlotDecision, SlotLease> {
    const text = `s${keyText(key)}`;
    const known = this.#slots.get(text);
    if (known) return known;
    const rule = new SharedSlots(text, this.#watch);
    const entry = new SharedKey(rule, this.#watch, () => {});
    rule.onScarce = () => entry.tellAnew();
    this.#slots.set(text, entry);
    this.#tended.set(entry, () => void this.#slots.delete(text));
    return entry;
  }

  slotsInUse(key: LimitKey): number {
    const rule = this.#slots.get(`s${keyText(key)}`)?.rule;
    return rule instanceof SharedSlots ? rule.inUse : 0;
  }

  /** Gives back what is not used and renews what is. To be called a few times a second. */
  tend(): void {
    for (const [entry, onIdle] of this.#tended) {
      if (entry.rule.tend()) entry.tellAnew();
      if (entry.rule.isHolding || entry.isAsking) continue;
      this.#tended.delete(entry);
      onIdle();
    }
  }

  readonly #hold = (entry: Tended): void => {
    if (entry.rule.isHolding) this.#tended.set(entry, () => {});
  };
}
