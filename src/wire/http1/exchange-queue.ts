import type { WireExchange } from "../exchange.ts";

/** Exchanges of one connection whose answer is not complete, in the order of their requests. */
export class ExchangeQueue {
  #first: WireExchange | undefined;
  #last: WireExchange | undefined;
  #count = 0;

  get first(): WireExchange | undefined {
    return this.#first;
  }

  get count(): number {
    return this.#count;
  }

  add(exchange: WireExchange): void {
    if (this.#last) this.#last.next = exchange;
    else this.#first = exchange;
    this.#last = exchange;
    this.#count++;
  }

  /** The first one is complete. */
  shift(): void {
    this.#first = this.#first?.next;
    if (!this.#first) this.#last = undefined;
    this.#count--;
  }

  /** Closes them all. */
  close(aborted: boolean): void {
    for (let exchange = this.#first; exchange; exchange = exchange.next) exchange.close(aborted);
    this.#first = this.#last = undefined;
  }
}
