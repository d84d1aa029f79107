import { BoundedMap } from "../../kernel/index.ts";
import type { LimitKey } from "./limits.ts";

/** What a table can tell about its entries. */
export interface TableEntry {
  /** Monotonic milliseconds from which on the entry is worth as much as none. */
  readonly expiresMs: number;
}

/** Entries that are over and may go when one comes. Two, so that the table shrinks while it is in use. */
const SWEPT_MAX = 2;

/**
 * Entries by key, never more than `entriesMax`. When it is full a tenant that has more than its even part loses its own entry that was not
 * used for longest; otherwise the tenant that was idle for longest does. So nobody's flood of keys resets the counters of others.
 */
export class KeyTable<E extends TableEntry> {
  readonly #entriesMax: number;
  readonly #tenants: BoundedMap<string, BoundedMap<string, E>>;
  #size = 0;

  constructor(entriesMax: number) {
    this.#entriesMax = entriesMax;
    this.#tenants = new BoundedMap(entriesMax);
  }

  get size(): number {
    return this.#size;
  }

  get(key: LimitKey): E | undefined {
    return this.#tenants.get(key[0])?.get(partsText(key));
  }

  /** Puts in an entry for a key that has none. */
  add(key: LimitKey, entry: E, nowMs: number): void {
    let own = this.#tenants.get(key[0]);
    if (own) this.#sweep(key[0], own, nowMs);
    if (this.#size >= this.#entriesMax) this.#makeRoom(key[0], own?.size ?? 0);
    own = this.#tenants.get(key[0]);
    if (!own) {
      own = new BoundedMap(this.#entriesMax);
      this.#tenants.set(key[0], own);
    }
    own.set(partsText(key), entry);
    this.#size++;
  }

  #sweep(tenant: string, own: BoundedMap<string, E>, nowMs: number): void {
    let left = SWEPT_MAX;
    for (const [text, { expiresMs }] of own.entries()) {
      if (left-- === 0 || expiresMs > nowMs) return;
      this.#remove(tenant, own, text);
    }
  }

  #makeRoom(tenant: string, held: number): void {
    const own = held * this.#tenants.size > this.#entriesMax ? this.#tenants.get(tenant) : undefined;
    const [victim, entries] = own ? [tenant, own] : first(this.#tenants);
    this.#remove(victim, entries, first(entries)[0]);
  }

  #remove(tenant: string, entries: BoundedMap<string, E>, text: string): void {
    entries.delete(text);
    this.#size--;
    if (entries.size === 0) this.#tenants.delete(tenant);
  }
}

function first<K, V>(map: BoundedMap<K, V>): [K, V] {
  for (const entry of map.entries()) return entry;
  throw new RangeError("an empty table has nothing to give up");
}

/**
 * The parts after the tenant as one text, a different one for each list. A single part, the common case, follows a colon; of several, each
 * follows its length, and no length begins with a colon.
 */
export function partsText(key: LimitKey): string {
  if (key.length === 2) return `:${key[1]}`;
  let text = "";
  // by index: this runs for every request
  for (let at = 1; at < key.length; at++) {
    const part = key[at] ?? "";
    text += `${part.length}:${part}`;
  }
  return text;
}

/** The whole key as one text, a different one for each list: every part follows its length. */
export function keyText(key: LimitKey): string {
  return key.map((part) => `${part.length}:${part}`).join("");
}
