import type { Clock } from "../../kernel/index.ts";
import { type BucketUse, BUCKET_EMPTY, drip } from "./bucket-use.ts";
import { KeyTable } from "./key-table.ts";
import type { LimitLedger } from "./ledger.ts";
import type {
  BucketDecision,
  BucketLimit,
  ExactLimits,
  LimitKey,
  Limits,
  LimitScope,
  Slot,
  WindowDecision,
  WindowLimit,
} from "./limits.ts";
import { SharedLimits } from "./shared-limits.ts";
import { SlotCounts } from "./slot-counts.ts";
import { spend, type WindowUse } from "./window-use.ts";

/** What counters are made of. */
export interface LimitsOptions {
  readonly clock: Clock;
  /** Where gateways share limits. Without one the scope `shared` is `local`. It is closed with the limits. */
  readonly ledger?: LimitLedger;
  /** How long an exact decision waits for the ledger. In milliseconds. */
  readonly ledgerWaitMs?: number;
  /** Windows, and as many buckets, that are remembered; one that was pushed out begins anew. */
  readonly entriesMax?: number;
}

/** Limits with leases to look after. */
export interface OpenLimits extends Limits {
  /** Gives back leases that are not used and renews those that are. Happens by itself a few times a second. */
  tend(): void;
  close(): Promise<void>;
}

const ENTRIES_MAX = 200_000;
const LEDGER_WAIT_MS = 25;
const TEND_MS = 250;

/** A counter that may go once it is over. */
type Kept<T> = T & { expiresMs: number };

/** Counters of this process, exact for it, and those it shares with others. Every decision of `Limits` is made at once; memory is bounded. */
export function createLimits({ clock, ledger, ledgerWaitMs = LEDGER_WAIT_MS, entriesMax = ENTRIES_MAX }: LimitsOptions): OpenLimits {
  const local = new LocalLimits(clock, entriesMax);
  if (!ledger) return new OpenedLimits(local, undefined, async () => {});
  const shared = new SharedLimits(ledger, clock, ledgerWaitMs, entriesMax);
  const timer = setInterval(() => shared.tend(), TEND_MS).unref();
  return new OpenedLimits(local, shared, async () => {
    clearInterval(timer);
    await ledger.close();
  });
}

class LocalLimits {
  readonly #clock: Clock;
  readonly #windows: KeyTable<Kept<WindowUse>>;
  readonly #buckets: KeyTable<Kept<BucketUse>>;
  readonly slots = new SlotCounts();

  constructor(clock: Clock, entriesMax: number) {
    this.#clock = clock;
    this.#windows = new KeyTable(entriesMax);
    this.#buckets = new KeyTable(entriesMax);
  }

  window(key: LimitKey, limit: WindowLimit, cost: number): WindowDecision {
    const nowMs = this.#clock.monotonic();
    let use = this.#windows.get(key);
    if (!use) {
      use = { startMs: nowMs, used: 0, before: 0, expiresMs: 0 };
      this.#windows.add(key, use, nowMs);
    }
    const decision = spend(use, limit, cost, nowMs);
    use.expiresMs = use.startMs + (limit.kind === "fixed" ? 1 : 2) * limit.windowMs;
    return decision;
  }

  bucket(key: LimitKey, limit: BucketLimit): BucketDecision {
    const nowMs = this.#clock.monotonic();
    let use = this.#buckets.get(key);
    if (!use) {
      use = { excess: BUCKET_EMPTY, atMs: nowMs, expiresMs: 0 };
      this.#buckets.add(key, use, nowMs);
    }
    const decision = drip(use, limit, nowMs);
    use.expiresMs = use.atMs + ((use.excess + 1) / limit.perSecond) * 1000;
    return decision;
  }
}

class OpenedLimits implements OpenLimits {
  readonly #local: LocalLimits;
  readonly #shared: SharedLimits | undefined;
  readonly close: () => Promise<void>;
  readonly exact: ExactLimits;
  readonly defaultScope: LimitScope;

  constructor(local: LocalLimits, shared: SharedLimits | undefined, close: () => Promise<void>) {
    this.#local = local;
    this.#shared = shared;
    this.close = close;
    this.defaultScope = shared ? "shared" : "local";
    this.exact = {
      window: (key, limit, cost = 1) => {
        checkCost(cost);
        return shared && limit.scope === "shared" ? shared.window(key, limit).exact({ limit, cost }) : local.window(key, limit, cost);
      },
      bucket: (key, limit) => (shared && limit.scope === "shared" ? shared.bucket(key, limit).exact(limit) : local.bucket(key, limit)),
      slot: (key, max, scope) => {
        if (!shared || scope !== "shared") return local.slots.take(key, max);
        const decision = shared.slots(key).exact(max);
        return decision instanceof Promise ? decision.then(({ slot }) => slot) : decision.slot;
      },
    };
  }

  window(key: LimitKey, limit: WindowLimit, cost = 1): WindowDecision {
    checkCost(cost);
    return this.#shared && limit.scope === "shared"
      ? this.#shared.window(key, limit).now({ limit, cost })
      : this.#local.window(key, limit, cost);
  }

  bucket(key: LimitKey, limit: BucketLimit): BucketDecision {
    return this.#shared && limit.scope === "shared" ? this.#shared.bucket(key, limit).now(limit) : this.#local.bucket(key, limit);
  }

  slot(key: LimitKey, max: number, scope?: LimitScope): Slot | undefined {
    return this.#shared && scope === "shared" ? this.#shared.slots(key).now(max).slot : this.#local.slots.take(key, max);
  }

  inUse(key: LimitKey, scope?: LimitScope): number {
    return this.#shared && scope === "shared" ? this.#shared.slotsInUse(key) : this.#local.slots.inUse(key);
  }

  tend(): void {
    this.#shared?.tend();
  }
}

/** A cost that is no amount would open the limit, or give units back. */
function checkCost(cost: number): void {
  if (!(cost >= 0 && cost < Number.POSITIVE_INFINITY)) throw new RangeError(`a cost must be a number from 0 up, not ${cost}`);
}
