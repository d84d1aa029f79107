interface Entry<K, V> {
  readonly key: K;
  value: V;
  older: Entry<K, V> | undefined;
  younger: Entry<K, V> | undefined;
}

/**
 * A map that never holds more than `entriesMax` entries: the one not used for longest goes first.
 * Memory kept for tenants, keys, unknown ids and tokens is bounded by it.
 */
export class BoundedMap<K, V> {
  // a list beside the map: putting an entry back into a Map at every use would make it grow and rehash again and again
  readonly #entries = new Map<K, Entry<K, V>>();
  #oldest: Entry<K, V> | undefined;
  #youngest: Entry<K, V> | undefined;
  readonly #entriesMax: number;
  readonly #onEvict: ((key: K, value: V) => void) | undefined;

  /** `onEvict` is told of what had to make room, not of what was deleted. */
  constructor(entriesMax: number, onEvict?: (key: K, value: V) => void) {
    if (!Number.isSafeInteger(entriesMax) || entriesMax < 1) throw new RangeError("entriesMax must be a whole number above 0");
    this.#entriesMax = entriesMax;
    this.#onEvict = onEvict;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** The value, which from now on counts as just used. */
  get(key: K): V | undefined {
    const entry = this.#entries.get(key);
    if (!entry) return undefined;
    this.#use(entry);
    return entry.value;
  }

  /** The value, without counting as a use. */
  peek(key: K): V | undefined {
    return this.#entries.get(key)?.value;
  }

  set(key: K, value: V): void {
    const known = this.#entries.get(key);
    if (known) {
      known.value = value;
      this.#use(known);
      return;
    }
    const entry: Entry<K, V> = { key, value, older: undefined, younger: undefined };
    this.#entries.set(key, entry);
    this.#append(entry);
    if (this.#entries.size <= this.#entriesMax || !this.#oldest) return;
    const { key: oldKey, value: oldValue } = this.#oldest;
    this.delete(oldKey);
    this.#onEvict?.(oldKey, oldValue);
  }

  delete(key: K): boolean {
    const entry = this.#entries.get(key);
    if (!entry) return false;
    this.#unlink(entry);
    return this.#entries.delete(key);
  }

  clear(): void {
    this.#entries.clear();
    this.#oldest = undefined;
    this.#youngest = undefined;
  }

  /** The entries, the one not used for longest first. */
  *entries(): IterableIterator<[K, V]> {
    for (let entry = this.#oldest; entry; entry = entry.younger) yield [entry.key, entry.value];
  }

  #use(entry: Entry<K, V>): void {
    if (entry === this.#youngest) return;
    this.#unlink(entry);
    this.#append(entry);
  }

  #append(entry: Entry<K, V>): void {
    entry.older = this.#youngest;
    entry.younger = undefined;
    if (this.#youngest) this.#youngest.younger = entry;
    else this.#oldest = entry;
    this.#youngest = entry;
  }

  #unlink({ older, younger }: Entry<K, V>): void {
    if (older) older.younger = younger;
    else this.#oldest = younger;
    if (younger) younger.older = older;
    else this.#youngest = older;
  }
}
