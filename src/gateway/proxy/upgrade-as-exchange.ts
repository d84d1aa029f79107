import type { Answer, Exchange, ExchangeEnd, Forward, RequestHead, UpgradeExchange } from "../../wire/index.ts";

/** A request to change the protocol as an exchange without a body, so that it goes the way of every other. */
export class UpgradeAsExchange implements Exchange {
  readonly hasBody = false;
  readonly #upgrade: UpgradeExchange;

  constructor(upgrade: UpgradeExchange) {
    this.#upgrade = upgrade;
  }

  get head(): RequestHead {
    return this.#upgrade.head;
  }

  get signal(): AbortSignal {
    return this.#upgrade.signal;
  }

  readBody(): Promise<Uint8Array> {
    return Promise.resolve(new Uint8Array());
  }

  async *streamBody(): AsyncGenerator<Uint8Array> {}

  answer(answer: Answer): void {
    this.#upgrade.refuse(answer);
  }

  forward(forward: Forward): void {
    this.#upgrade.forward(forward);
  }

  stop(answer: () => Answer): void {
    this.#upgrade.stop(answer);
  }

  onEnd(listener: (end: ExchangeEnd) => void): void {
    this.#upgrade.onEnd(listener);
  }
}
