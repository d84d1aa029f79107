import type { Answer, Exchange, ExchangeEnd, Forward, RequestHead, UpgradeExchange } from "../../wire/index.ts";

/** A request to change the protocol as an exchange without a body, so that it goes the way of every other. */
export class UpgradeAsExchange implements Exchange {
  readonly hasBody = false;
  readonly #upgrade: UpgradeExchange;
  #controller: AbortController | undefined;

  constructor(upgrade: UpgradeExchange) {
    this.#upgrade = upgrade;
  }

  get head(): RequestHead {
    return this.#upgrade.head;
  }

  get signal(): AbortSignal {
    if (!this.#controller) {
      const controller = new AbortController();
      this.#controller = controller;
      this.#upgrade.socket.once("close", () => controller.abort());
    }
    return this.#controller.signal;
  }

  readBody(): Promise<Uint8Array> {
    return Promise.resolve(new Uint8Array());
  }

  answer(answer: Answer): void {
    this.#upgrade.refuse(answer);
  }

  forward(forward: Forward): void {
    this.#upgrade.forward(forward);
  }

  onEnd(listener: (end: ExchangeEnd) => void): void {
    this.#upgrade.onEnd(listener);
  }
}
