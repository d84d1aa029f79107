/**
 * A line in which holders take turns: however many things one of them has waiting, each gets one before any of them gets a second.
 * Within one holder the order is that of arrival.
 */
export class TurnLine<T> {
  /** The holder whose turn is next comes first. */
  readonly #waiting = new Map<string, T[]>();

  add(holder: string, item: T): void {
    const items = this.#waiting.get(holder);
    if (items) items.push(item);
    else this.#waiting.set(holder, [item]);
  }

  /** The first thing of the first holder that may have a turn. It stays in the line until it is removed. */
  next(
    mayHave: (holder: string) => boolean,
    isWanted: (item: T) => boolean = () => true,
  ): { readonly holder: string; readonly item: T } | undefined {
    for (const [holder, items] of this.#waiting) {
      const [item] = items;
      if (item !== undefined && mayHave(holder) && isWanted(item)) return { holder, item };
    }
    return undefined;
  }

  /** Takes it out. When it was the holder's first, the holder has had its turn and goes to the end. */
  remove(holder: string, item: T): void {
    const items = this.#waiting.get(holder);
    const at = items?.indexOf(item) ?? -1;
    if (!items || at < 0) return;
    items.splice(at, 1);
    if (items.length === 0) this.#waiting.delete(holder);
    else if (at === 0) {
      this.#waiting.delete(holder);
      this.#waiting.set(holder, items);
    }
  }

  /** Empties the line and gives what was in it. */
  clear(): readonly T[] {
    const all = [...this.#waiting.values()].flat();
    this.#waiting.clear();
    return all;
  }
}
