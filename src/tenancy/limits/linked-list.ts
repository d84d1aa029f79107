interface Link<T> {
  readonly value: T;
  previous: Link<T> | undefined;
  next: Link<T> | undefined;
}

/** A place in a list, by which it is left. */
export type Place<T> = Link<T>;

/** A list that is left from anywhere in O(1). */
export class LinkedList<T> {
  #first: Link<T> | undefined;
  #last: Link<T> | undefined;
  #size = 0;

  get first(): T | undefined {
    return this.#first?.value;
  }

  get size(): number {
    return this.#size;
  }

  append(value: T): Place<T> {
    const link: Link<T> = { value, previous: this.#last, next: undefined };
    if (this.#last) this.#last.next = link;
    else this.#first = link;
    this.#last = link;
    this.#size++;
    return link;
  }

  /** A place that was left already must not be left again. */
  leave({ previous, next }: Place<T>): void {
    if (previous) previous.next = next;
    else this.#first = next;
    if (next) next.previous = previous;
    else this.#last = previous;
    this.#size--;
  }
}
