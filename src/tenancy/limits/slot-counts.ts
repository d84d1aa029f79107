import { groupOf, textOf } from "./key-table.ts";
import type { LimitKey, Slot } from "./limits.ts";

/** How many hold a place at one key. */
interface Count {
  held: number;
}

type Counts = Map<string, Count>;
type Groups = Map<string | number, Counts>;

/** Work under way in this process. Holds keys with work under way only: it is bounded by the work itself. */
export class SlotCounts {
  readonly #tenants = new Map<string, Groups>();

  /** A place if fewer than `max` are held; a `max` that was lowered holds from the next request on. */
  take(key: LimitKey, max: number): Slot | undefined {
    const known = this.#find(key);
    if (!((known?.held ?? 0) < max)) return undefined;
    const count = known ?? this.#begin(key);
    count.held++;
    return new HeldSlot(count.held, () => {
      if (--count.held === 0) this.#end(key);
    });
  }

  inUse(key: LimitKey): number {
    return this.#find(key)?.held ?? 0;
  }

  #find(key: LimitKey): Count | undefined {
    return this.#tenants.get(key[0])?.get(groupOf(key))?.get(textOf(key));
  }

  #begin(key: LimitKey): Count {
    let groups = this.#tenants.get(key[0]);
    if (!groups) {
      groups = new Map();
      this.#tenants.set(key[0], groups);
    }
    let counts = groups.get(groupOf(key));
    if (!counts) {
      counts = new Map();
      groups.set(groupOf(key), counts);
    }
    const count: Count = { held: 0 };
    counts.set(textOf(key), count);
    return count;
  }

  /** Nobody holds a place at this key any more; what is left empty above it goes too. */
  #end(key: LimitKey): void {
    const groups = this.#tenants.get(key[0]);
    const counts = groups?.get(groupOf(key));
    counts?.delete(textOf(key));
    if (counts?.size === 0) groups?.delete(groupOf(key));
    if (groups?.size === 0) this.#tenants.delete(key[0]);
  }
}

/** A place that is given back by the first release only. */
export class HeldSlot implements Slot {
  readonly position: number;
  #giveBack: (() => void) | undefined;

  constructor(position: number, giveBack: () => void) {
    this.position = position;
    this.#giveBack = giveBack;
  }

  release(): void {
    const giveBack = this.#giveBack;
    this.#giveBack = undefined;
    giveBack?.();
  }
}
