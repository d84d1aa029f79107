import { type Fault, toFault } from "../kernel/index.ts";
import { assertPlain, cutShort, tooLarge } from "./body.ts";
import type { RequestSink } from "./caller-port.ts";
import type { WireExchange } from "./exchange.ts";

/** So much is held for whoever takes it; then the caller has to wait. */
const HELD_BYTES_MAX = 256 * 1024;

/** The body of one request on its way to whoever takes it piece by piece, at that one's pace. */
export class BodyStream implements RequestSink, AsyncIterable<Uint8Array> {
  readonly #exchange: WireExchange;
  readonly #bytesMax: number;
  readonly #signal: AbortSignal;
  readonly #held: Buffer[] = [];
  #heldBytes = 0;
  #takenBytes = 0;
  #paused = false;
  #ended = false;
  #failure: Error | undefined;
  #wake: (() => void) | undefined;

  constructor(exchange: WireExchange, bytesMax: number, signal: AbortSignal) {
    this.#exchange = exchange;
    this.#bytesMax = bytesMax;
    this.#signal = signal;
  }

  piece(bytes: Buffer, start: number, end: number): void {
    const { port } = this.#exchange;
    this.#exchange.bytesIn += end - start;
    this.#takenBytes += end - start;
    if (this.#failure) return;
    if (this.#takenBytes > this.#bytesMax) return this.#stop(tooLarge(this.#bytesMax));
    this.#held.push(Buffer.from(bytes.subarray(start, end))); // they are only good during the call
    this.#heldBytes += end - start;
    if (this.#heldBytes < HELD_BYTES_MAX || this.#paused) return;
    this.#paused = true;
    port.pauseBody();
  }

  flush(): void {
    this.#wake?.();
  }

  end(): void {
    this.#ended = true;
    this.#wake?.();
  }

  fail(fault: Fault): void {
    this.#failure ??= fault;
    this.#wake?.();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void> {
    const { head, port } = this.#exchange;
    assertPlain(head, this.#bytesMax);
    if (this.#exchange.ended) throw cutShort();
    const aborted = (): void => this.#stop(toFault(this.#signal.reason));
    this.#signal.addEventListener("abort", aborted, { once: true });
    if (this.#signal.aborted) aborted();
    port.takeBody(this.#exchange, this);
    try {
      for (;;) {
        if (this.#failure) throw this.#failure;
        const piece = this.#take();
        if (piece) yield piece;
        else if (this.#ended) return;
        else await this.#more();
      }
    } finally {
      this.#signal.removeEventListener("abort", aborted);
      if (!this.#ended) this.#stop(cutShort()); // whoever took it wants no more: the rest stays unread
    }
  }

  #take(): Buffer | undefined {
    const piece = this.#held.shift();
    this.#heldBytes -= piece?.length ?? 0;
    if (this.#paused && this.#heldBytes < HELD_BYTES_MAX / 2) {
      this.#paused = false;
      this.#exchange.port.resumeBody();
    }
    return piece;
  }

  #more(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = () => {
        this.#wake = undefined;
        resolve();
      };
    });
  }

  #stop(failure: Error): void {
    if (this.#failure || this.#exchange.ended) return this.fail(toFault(failure));
    this.fail(toFault(failure));
    this.#exchange.port.pauseBody();
  }
}
