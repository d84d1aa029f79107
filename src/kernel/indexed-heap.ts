/** Something a heap holds; `at` is its place, which the heap alone sets, -1 outside. */
export interface HeapItem {
  at: number;
}

/** A binary heap whose items may move when what they are ordered by has changed. All in O(log n). */
export class IndexedHeap<T extends HeapItem> {
  readonly #items: T[] = [];
  readonly #isBefore: (a: T, b: T) => boolean;

  constructor(isBefore: (a: T, b: T) => boolean) {
    this.#isBefore = isBefore;
  }

  get first(): T | undefined {
    return this.#items[0];
  }

  add(item: T): void {
    this.#place(item, this.#items.length);
    this.#rise(item);
  }

  /** To be called after the order of an item in the heap has changed. */
  moved(item: T): void {
    this.#rise(item);
    this.#sink(item);
  }

  remove(item: T): void {
    const last = this.#items.pop();
    const { at } = item;
    item.at = -1;
    if (!last || last === item) return;
    this.#place(last, at);
    this.moved(last);
  }

  #rise(item: T): void {
    while (item.at > 0) {
      const parent = this.#items[(item.at - 1) >> 1];
      if (!parent || !this.#isBefore(item, parent)) return;
      this.#swap(item, parent);
    }
  }

  #sink(item: T): void {
    for (;;) {
      const left = this.#items[2 * item.at + 1];
      const right = this.#items[2 * item.at + 2];
      const child = right && left && this.#isBefore(right, left) ? right : left;
      if (!child || !this.#isBefore(child, item)) return;
      this.#swap(item, child);
    }
  }

  #swap(a: T, b: T): void {
    const { at } = a;
    this.#place(a, b.at);
    this.#place(b, at);
  }

  #place(item: T, at: number): void {
    this.#items[at] = item;
    item.at = at;
  }
}
