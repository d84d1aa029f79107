/** How the connection is told about whoever reads. */
export interface BodyFlow {
  pause(): void;
  resume(): void;
  /** Nobody wants the rest. */
  stop(): void;
}

/** With so much unread the upstream is asked to wait. */
const UNREAD_BYTES_MAX = 64 * 1024;

/** The body of an upstream's answer, for one reader who takes it when it can. What was not read makes the upstream wait. */
export class UpstreamBody implements AsyncIterable<Uint8Array> {
  readonly #flow: BodyFlow;
  readonly #pieces: Uint8Array[] = [];
  #unread = 0;
  #state: "open" | "ended" | { readonly error: unknown } = "open";
  #wake: (() => void) | undefined;

  constructor(flow: BodyFlow) {
    this.#flow = flow;
  }

  push(piece: Uint8Array): void {
    if (this.#state !== "open") return;
    this.#pieces.push(piece);
    this.#unread += piece.length;
    if (this.#unread > UNREAD_BYTES_MAX) this.#flow.pause();
    this.#wake?.();
  }

  end(): void {
    this.#over("ended");
  }

  /** The reader gets the error after what came before it. */
  fail(error: unknown): void {
    this.#over({ error });
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void, undefined> {
    try {
      for (;;) {
        const piece = this.#pieces.shift();
        if (piece) {
          this.#unread -= piece.length;
          if (this.#unread === 0) this.#flow.resume();
          yield piece;
        } else if (this.#state === "open") {
          await new Promise<void>((resolve) => (this.#wake = resolve));
        } else if (this.#state === "ended") {
          return;
        } else throw this.#state.error;
      }
    } finally {
      if (this.#state === "open") this.#flow.stop();
    }
  }

  #over(state: "ended" | { readonly error: unknown }): void {
    if (this.#state !== "open") return;
    this.#state = state;
    this.#wake?.();
  }
}
