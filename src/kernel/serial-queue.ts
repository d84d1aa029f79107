/** Work that is done one piece after the other, in the order in which it was given. A piece that fails keeps none after it from being done. */
export class SerialQueue {
  #last: Promise<unknown> = Promise.resolve();

  /** What the work comes to, when its turn has come and it is done. */
  run<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(work);
    this.#last = turn.then(forget, forget); // whoever gave it is told
    return turn;
  }

  /** Resolves when everything is done that was given until now. */
  async idle(): Promise<void> {
    await this.#last;
  }
}

function forget(): void {}
