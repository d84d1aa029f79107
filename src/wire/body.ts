import { Fault } from "../kernel/index.ts";
import type { RequestSink } from "./caller-port.ts";
import type { WireExchange } from "./exchange.ts";

/** Memory for the first bytes of a body. It grows with what arrives, never with what was announced. */
const BUFFER_START_BYTES = 16 * 1024;

/** The body of one request on its way into memory. */
export class BodyCollector implements RequestSink {
  readonly #exchange: WireExchange;
  readonly #bytesMax: number;
  readonly #buffer: GrowingBuffer;
  readonly #told = Promise.withResolvers<Uint8Array>();
  #over = false;

  constructor(exchange: WireExchange, bytesMax: number) {
    this.#exchange = exchange;
    this.#bytesMax = bytesMax;
    this.#buffer = new GrowingBuffer(bytesMax);
  }

  /**
   * The whole body. Throws `body_too_large` as soon as it is known to be over the bound, leaving the rest unread, `malformed_request` when
   * it is cut short, `unsupported_media_type` when it is compressed: a few bytes could unpack to any size.
   */
  async read(): Promise<Uint8Array> {
    const { head, port } = this.#exchange;
    assertPlain(head, this.#bytesMax);
    if (this.#exchange.ended) throw cutShort();
    port.takeBody(this.#exchange, this);
    return await this.#told.promise;
  }

  piece(bytes: Buffer, start: number, end: number): void {
    if (this.#over) return;
    this.#exchange.bytesIn += end - start;
    if (this.#buffer.add(bytes.subarray(start, end))) return;
    this.#over = true;
    this.#exchange.port.pauseBody();
    this.#told.reject(tooLarge(this.#bytesMax));
  }

  flush(): void {
    // everything is given at the end
  }

  end(): void {
    this.#told.resolve(this.#buffer.bytes());
  }

  fail(fault: Fault): void {
    this.#told.reject(fault);
  }
}

/** One growing buffer with a bound. A list of pieces would cost a caller six bytes of traffic and us a hundred of memory per one-byte chunk. */
export class GrowingBuffer {
  readonly #bytesMax: number;
  #buffer = Buffer.alloc(0);
  #used = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** False when the piece does not fit; it is not kept then. */
  add(piece: Buffer): boolean {
    const needed = this.#used + piece.length;
    if (needed > this.#bytesMax) return false;
    if (needed > this.#buffer.length) this.#grow(needed);
    piece.copy(this.#buffer, this.#used);
    this.#used = needed;
    return true;
  }

  bytes(): Uint8Array {
    return this.#buffer.subarray(0, this.#used);
  }

  #grow(needed: number): void {
    const size = Math.min(this.#bytesMax, Math.max(needed, this.#buffer.length * 2, BUFFER_START_BYTES));
    // not from Node's shared pool: bytes of another request would lie behind the view
    const larger = Buffer.allocUnsafeSlow(size);
    this.#buffer.copy(larger, 0, 0, this.#used);
    this.#buffer = larger;
  }
}

/** Refuses a body that says beforehand that it is too large, and one that is compressed. */
export function assertPlain({ headers, framing }: WireExchange["head"], bytesMax: number): void {
  const coding = headers.one("content-encoding");
  if (coding !== undefined && coding.toLowerCase() !== "identity") throw new Fault("unsupported_media_type", `content-encoding ${coding}`);
  if (framing.kind === "length" && framing.length > bytesMax) throw tooLarge(bytesMax);
}

/** The refusal of a request whose body is over the bound. */
export function tooLarge(bytesMax: number): Fault {
  return new Fault("body_too_large", `body over ${bytesMax} bytes`, { public: { detail: `At most ${bytesMax} bytes are taken.` } });
}

/** The refusal of a request whose body will never be complete. */
export function cutShort(): Fault {
  const detail = "The body ended before it was complete.";
  return new Fault("malformed_request", detail, { public: { detail } });
}
