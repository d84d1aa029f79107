import { partsText } from "./key-table.ts";
import type { LimitKey, Slot } from "./limits.ts";

/** How many hold a place at one key. */
interface Count {
  held: number;
}

/** Work under way in this process. Holds keys with work under way only: it is bounded by the work itself. */
export class SlotCounts {
  readonly #tenants = new Map<string, Map<string, Count>>();

  /** A place if fewer than `max` are held; a `max` that was lowered holds from the next request on. */
  take(key: LimitKey, max: number): Slot | undefined {
    const text = partsText(key);
    let counts = this.#tenants.get(key[0]);
    const known = counts?.get(text);
    if (!((known?.held ?? 0) < max)) return undefined;
    if (!counts) {
      counts = new Map();
      this.#tenants.set(key[0], counts);
    }
    const count = known ?? { held: 0 };
    if (!known) counts.set(text, count);
    count.held++;
    return new HeldSlot(count.held, () => {
      if (--count.held > 0) return;
      counts.delete(text);
      // a map of the same tenant that was begun since is not this one
      if (counts.size === 0 && this.#tenants.get(key[0]) === counts) this.#tenants.delete(key[0]);
    });
  }

  inUse(key: LimitKey): number {
    return this.#tenants.get(key[0])?.get(partsText(key))?.held ?? 0;
  }

  /** Tenants with work under way. */
  get size(): number {
    return this.#tenants.size;
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
