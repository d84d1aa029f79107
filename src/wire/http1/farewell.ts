import type { Socket } from "node:net";
import type { HttpBounds } from "../http.ts";
import type { BodyDecoder, BodySink } from "./body-decoder.ts";
import type { CallerLimits } from "./caller-limits.ts";
import type { SocketWriter } from "./socket-writer.ts";

const NOTHING: BodySink = { piece: () => undefined };

/**
 * The end of a caller's connection. Closing with unread bytes makes the kernel reset the connection, and the caller may lose the answer that
 * tells it why (RFC 9112, 9.6): what it still sends is read for a short while, bounded in bytes and time.
 */
export class Farewell {
  readonly #socket: Socket;
  readonly #out: SocketWriter;
  readonly #decoder: BodyDecoder;
  readonly #limits: CallerLimits;
  readonly #bounds: HttpBounds;
  #state: "no" | "lingering" | "ended" = "no";
  #bytesLeft = 0;

  constructor(socket: Socket, out: SocketWriter, decoder: BodyDecoder, limits: CallerLimits, bounds: HttpBounds) {
    this.#socket = socket;
    this.#out = out;
    this.#decoder = decoder;
    this.#limits = limits;
    this.#bounds = bounds;
  }

  get begun(): boolean {
    return this.#state !== "no";
  }

  /** `unread`: the rest of a body is on its way that nobody will use. */
  begin(unread: boolean): void {
    if (this.begun) return;
    this.#limits.stopReading();
    if (!unread) return this.#close();
    this.#state = "lingering";
    this.#bytesLeft = this.#bounds.lingerBytesMax;
    this.#limits.waits(this.#bounds.lingerMs);
    this.#limits.arm();
  }

  /** What the caller sent after its answer. */
  receive(bytes: Buffer): void {
    if (this.#state === "ended") return;
    this.#bytesLeft -= bytes.length;
    if (this.#bytesLeft < 0) {
      this.#state = "ended";
      this.#out.send();
      return this.#socket.destroySoon();
    }
    if (this.#isComplete(bytes)) this.#close();
  }

  /** The caller has ended its direction. */
  callerEnded(): void {
    if (this.#state === "lingering") this.#close();
  }

  /** The time of what it was doing is over. */
  expire(): void {
    if (this.#state === "lingering") this.#close();
    else this.#socket.destroy();
  }

  #isComplete(bytes: Buffer): boolean {
    try {
      this.#decoder.decode(bytes, 0, NOTHING);
      return this.#decoder.done;
    } catch {
      return true; // what comes behind it is not read either
    }
  }

  #close(): void {
    this.#state = "ended";
    this.#out.send();
    if (this.#socket.destroyed) return;
    this.#socket.end(() => {
      // the caller's own end closes it sooner; one that never ends is not waited for
      this.#limits.flows();
      this.#limits.waits(this.#bounds.lingerMs);
      this.#limits.arm();
    });
    if (this.#out.blocked || this.#socket.writableLength > 0) this.#limits.stalls(this.#bounds.stallTimeoutMs);
    this.#limits.arm();
  }
}
