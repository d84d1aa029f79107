import type { Socket } from "node:net";
import { type RawWriter, rawWriterOf } from "./raw-socket.ts";

/** More than this does not wait for the end of the turn. */
const GATHERED_MAX = 64 * 1024;

/**
 * Writers with something to send, until the loop has read everything that was ready. Sending wakes the process at the other end; when all
 * sends of a turn come together, the later ones find it awake. Measured: a proxied request costs 20 instead of 29 µs of CPU.
 */
let waiting: SocketWriter[] = [];

/** Everything that is written on one connection, in order. What is gathered in one turn of the loop is sent at its end, in one piece. */
export class SocketWriter {
  readonly #socket: Socket;
  readonly #onBlock: () => void;
  readonly #onDrain: () => void;
  #raw: RawWriter | undefined;
  #known = false;
  #text = "";
  #waits = false;
  #blocked = false;
  #sent = true;
  #mayBegin: (() => boolean) | undefined;

  /** `onBlock` is called when the other side takes no more, which is also found at the end of a turn; `onDrain` when it takes bytes again. */
  constructor(socket: Socket, onBlock: () => void, onDrain: () => void) {
    this.#socket = socket;
    this.#onBlock = onBlock;
    this.#onDrain = onDrain;
    socket.on("drain", () => this.#drained());
  }

  /** The other side takes no more for now. */
  get blocked(): boolean {
    return this.#blocked;
  }

  /** Whether anything was sent since {@link begin}. */
  get sent(): boolean {
    return this.#sent;
  }

  /** Gathers the beginning of a message. `mayBegin` is asked right before the first of it is sent; when it says no, nothing is. */
  begin(latin1: string, mayBegin: (() => boolean) | undefined): void {
    this.#sent = false;
    this.#mayBegin = mayBegin;
    this.#text += latin1;
  }

  /** Gathers latin1. */
  text(latin1: string): void {
    this.#text += latin1;
  }

  /** Sends what was gathered and these bytes, which must not change afterwards. */
  bytes(bytes: Uint8Array): void {
    const before = this.#text;
    this.#text = "";
    if (!this.#sent && !this.#begins()) return;
    if (this.#socket.destroyed) return;
    const raw = this.#rawNow();
    if (!(raw ? raw.bytes(before, bytes) : this.#streamed(before, bytes))) this.#block();
  }

  /** What was gathered is sent at the end of this turn. False when the other side takes no more for now: `onDrain` follows. */
  flush(): boolean {
    if (this.#text.length > GATHERED_MAX) this.send();
    if (this.#text !== "" && !this.#waits) {
      this.#waits = true;
      if (waiting.push(this) === 1) setImmediate(sendAll);
    }
    return !this.#blocked;
  }

  /** Sends what was gathered now. */
  send(): void {
    this.#waits = false;
    const text = this.#text;
    if (text === "") return;
    this.#text = "";
    if (!this.#sent && !this.#begins()) return;
    if (this.#socket.destroyed) return;
    const raw = this.#rawNow();
    if (!(raw ? raw.text(text) : this.#socket.write(text, "latin1"))) this.#block();
  }

  /** The way past the stream, once the socket is connected and while its stream holds nothing back. */
  #rawNow(): RawWriter | undefined {
    if (!this.#known) {
      this.#known = true;
      this.#raw = rawWriterOf(this.#socket, () => this.#drained());
    }
    return this.#socket.writableLength === 0 ? this.#raw : undefined;
  }

  #streamed(before: string, bytes: Uint8Array): boolean {
    this.#socket.cork();
    if (before !== "") this.#socket.write(before, "latin1");
    const more = this.#socket.write(bytes);
    this.#socket.uncork();
    return more;
  }

  #begins(): boolean {
    const mayBegin = this.#mayBegin;
    this.#mayBegin = undefined;
    if (mayBegin?.() === false) return false;
    this.#sent = true;
    return true;
  }

  #block(): void {
    if (this.#blocked) return;
    this.#blocked = true;
    this.#onBlock();
  }

  #drained(): void {
    if (!this.#blocked) return;
    this.#blocked = false;
    this.#onDrain();
  }
}

function sendAll(): void {
  const writers = waiting;
  waiting = [];
  for (const writer of writers) writer.send();
}
