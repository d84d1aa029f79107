import type { Clock } from "../../kernel/index.ts";
import { type BucketUse, drip, emptyBucket } from "./bucket-use.ts";
import { KeyTable, type TableEntry } from "./key-table.ts";
import type { BucketLimit, LimitKey, Limits, WindowLimit } from "./limits.ts";
import { SlotCounts } from "./slot-counts.ts";
import { spend, type WindowUse } from "./window-use.ts";

/** What counters are made of. */
export interface LimitsOptions {
  readonly clock: Clock;
  /** Windows, and as many buckets, that are remembered; one that was pushed out begins anew. */
  readonly entriesMax?: number;
}

const ENTRIES_MAX = 200_000;

/** Counters of this process, exact for it: every decision is made at once. Memory is bounded by `entriesMax`. */
export function createLimits({ clock, entriesMax = ENTRIES_MAX }: LimitsOptions): Limits {
  const windows = new KeyTable<WindowUse & TableEntry>(entriesMax);
  const buckets = new KeyTable<BucketUse & TableEntry>(entriesMax);
  const slots = new SlotCounts();
  return {
    window(key: LimitKey, limit: WindowLimit, cost = 1) {
      checkCost(cost);
      const nowMs = clock.monotonic();
      let use = windows.get(key);
      if (!use) {
        use = { startMs: nowMs, used: 0, before: 0, expiresMs: 0 };
        windows.add(key, use, nowMs);
      }
      const decision = spend(use, limit, cost, nowMs);
      use.expiresMs = use.startMs + 2 * limit.windowMs;
      return decision;
    },
    bucket(key: LimitKey, limit: BucketLimit) {
      const nowMs = clock.monotonic();
      let use = buckets.get(key);
      if (!use) {
        use = { ...emptyBucket(nowMs), expiresMs: 0 };
        buckets.add(key, use, nowMs);
      }
      const decision = drip(use, limit, nowMs);
      use.expiresMs = use.atMs + ((use.excess + 1) / limit.perSecond) * 1000;
      return decision;
    },
    slot: (key, max) => slots.take(key, max),
    inUse: (key) => slots.inUse(key),
  };
}

/** A cost that is no amount would open the limit, or give units back. */
function checkCost(cost: number): void {
  if (!(cost >= 0 && cost < Number.POSITIVE_INFINITY)) throw new RangeError(`a cost must be a number from 0 up, not ${cost}`);
}
