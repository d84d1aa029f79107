/** How long work may hold the event loop in one go. */
const STRETCH_MS = 8;

/**
 * Work over many things that lets everything else go on: between two of them `await turns.give()`. Other work comes first whenever this one has
 * held the event loop for some milliseconds, so each single thing must be small.
 */
export class Turns {
  #sinceMs = performance.now();

  /** Undefined while there is time left; otherwise resolves when everything else that was waiting has had its turn. */
  give(): Promise<void> | undefined {
    if (performance.now() - this.#sinceMs < STRETCH_MS) return undefined;
    return new Promise((resolve) => {
      setImmediate(() => {
        this.#sinceMs = performance.now();
        resolve();
      });
    });
  }
}
