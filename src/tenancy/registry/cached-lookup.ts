import { BoundedMap, type Clock } from "../../kernel/index.ts";

/** How long an unknown name is remembered as unknown. */
export const UNKNOWN_KEPT_MS = 1_000;
const UNKNOWN_KEPT_MAX = 10_000;
/** Entries read by one statement when many are read again. */
const REFRESH_BATCH = 1_000;

interface Load<V> {
  readonly promise: Promise<V | undefined>;
  /** Set when the entry changed while it was being read. */
  stale: boolean;
}

/**
 * Look-ups by name with everything in use in memory, a bounded number of entries, and unknown names remembered for a moment.
 * One read per name at a time, however many ask. An entry that changes while it is being read is read again.
 */
export class CachedLookup<V> {
  readonly #load: (names: readonly string[]) => Promise<ReadonlyMap<string, V>>;
  readonly #clock: Clock;
  readonly #known: BoundedMap<string, V>;
  readonly #unknown = new BoundedMap<string, number>(UNKNOWN_KEPT_MAX);
  readonly #loads = new Map<string, Load<V>>();

  constructor(load: (names: readonly string[]) => Promise<ReadonlyMap<string, V>>, clock: Clock, entriesMax: number) {
    this.#load = load;
    this.#clock = clock;
    this.#known = new BoundedMap(entriesMax);
  }

  /** From memory at once; otherwise a promise of what the database has. */
  find(name: string): V | undefined | Promise<V | undefined> {
    const known = this.#known.get(name);
    if (known !== undefined) return known;
    const unknownUntil = this.#unknown.peek(name);
    if (unknownUntil !== undefined && this.#clock.monotonic() < unknownUntil) return undefined;
    return (this.#loads.get(name) ?? this.#begin(name)).promise;
  }

  /** Reads again what is in memory of these names; others are only no longer known as unknown. The old is served until the new is there. */
  async refresh(names: readonly string[]): Promise<void> {
    const cached: string[] = [];
    for (const name of names) {
      this.#unknown.delete(name);
      const load = this.#loads.get(name);
      if (load) load.stale = true;
      if (this.#known.peek(name) !== undefined) cached.push(name);
    }
    for (let at = 0; at < cached.length; at += REFRESH_BATCH) await this.#readAgain(cached.slice(at, at + REFRESH_BATCH));
  }

  /** Reads again everything that is in memory, and gives the names of it. */
  async refreshAll(): Promise<readonly string[]> {
    const names = [...this.#known.entries()].map(([name]) => name);
    this.#unknown.clear();
    for (const load of this.#loads.values()) load.stale = true;
    await this.refresh(names);
    return names;
  }

  async #readAgain(names: readonly string[]): Promise<void> {
    const found = await this.#load(names);
    for (const name of names) {
      const value = found.get(name);
      if (value === undefined) this.#known.delete(name);
      else if (this.#known.peek(name) !== undefined) this.#known.set(name, value);
    }
  }

  #begin(name: string): Load<V> {
    const load: Load<V> = { stale: false, promise: this.#read(name) };
    this.#loads.set(name, load);
    return load;
  }

  async #read(name: string): Promise<V | undefined> {
    try {
      for (;;) {
        const value = (await this.#load([name])).get(name);
        const load = this.#loads.get(name);
        if (load?.stale) {
          load.stale = false;
          continue;
        }
        if (value === undefined) this.#unknown.set(name, this.#clock.monotonic() + UNKNOWN_KEPT_MS);
        else this.#known.set(name, value);
        return value;
      }
    } finally {
      this.#loads.delete(name);
    }
  }
}
