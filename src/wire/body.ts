import type { IncomingMessage } from "node:http";
import { Fault } from "../kernel/index.ts";
import type { HeaderList } from "./http.ts";

/** Memory for the first bytes of a body. It grows with what arrives, never with what was announced. */
const BUFFER_START_BYTES = 16 * 1024;

/** What a body is read from. */
export interface BodySource {
  readonly message: IncomingMessage;
  readonly headers: HeaderList;
  /** Tells a caller that waits with `Expect: 100-continue` to go on; does nothing for others. */
  readonly goOn: () => void;
}

/**
 * The whole body. Throws `body_too_large` as soon as it is known to be over `bytesMax`, leaving the rest unread, `malformed_request` when
 * it is cut short, `unsupported_media_type` when it is compressed: a few bytes could unpack to any size.
 */
export async function readBody(source: BodySource, bytesMax: number): Promise<Uint8Array> {
  const coding = source.headers.one("content-encoding");
  if (coding !== undefined && coding.toLowerCase() !== "identity") throw new Fault("unsupported_media_type", `content-encoding ${coding}`);
  const announced = Number(source.headers.one("content-length") ?? 0);
  if (announced > bytesMax) throw tooLarge(bytesMax);
  if (source.message.destroyed && !source.message.complete) throw cutShort();
  source.goOn();
  return await collect(source.message, bytesMax);
}

function collect(message: IncomingMessage, bytesMax: number): Promise<Uint8Array> {
  const buffer = new GrowingBuffer(bytesMax);
  return new Promise((resolve, reject) => {
    const settle = (fault?: Fault): void => {
      message.off("data", onData).off("end", onEnd).off("close", onClose);
      message.pause();
      if (fault) reject(fault);
      else resolve(buffer.bytes());
    };
    const onData = (piece: Buffer): void => {
      if (!buffer.add(piece)) settle(tooLarge(bytesMax));
    };
    const onEnd = (): void => settle(message.complete ? undefined : cutShort());
    const onClose = (): void => settle(cutShort());
    message.on("data", onData).on("end", onEnd).on("close", onClose);
    // the connection's end is seen by "close"; without a listener Node would drop this error, with one it must not be thrown
    message.on("error", onClose);
  });
}

/** One growing buffer. A list of pieces would cost a caller six bytes of traffic and us a hundred of memory per one-byte chunk. */
class GrowingBuffer {
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

function tooLarge(bytesMax: number): Fault {
  return new Fault("body_too_large", `body over ${bytesMax} bytes`, { public: { detail: `At most ${bytesMax} bytes are taken.` } });
}

function cutShort(): Fault {
  const detail = "The body ended before it was complete.";
  return new Fault("malformed_request", detail, { public: { detail } });
}
