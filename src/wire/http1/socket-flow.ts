import type { Socket } from "node:net";
import { readAsStream, readInto, readView } from "./raw-socket.ts";

/** How a caller's socket is read, and whether it is at the moment: two may be against it, and only when neither is it goes on. */
export class SocketFlow {
  readonly #socket: Socket;
  /** Undefined where the bytes come past the stream. */
  readonly #onData: ((bytes: Buffer) => void) | undefined;
  /** What arrived has to wait here. */
  #held = false;
  /** Whoever takes the body wants no more for now. */
  #sated = false;
  #paused = false;

  /** What comes is given to `receive`, and only good during the call. */
  constructor(socket: Socket, plain: boolean, receive: (bytes: Buffer) => void) {
    this.#socket = socket;
    if (plain && readInto(socket, (length) => receive(readView(length)))) return;
    this.#onData = receive;
    socket.on("data", receive);
  }

  get sated(): boolean {
    return this.#sated;
  }

  hold(held: boolean): void {
    this.#held = held;
    this.#follow();
  }

  sate(sated: boolean): void {
    this.#sated = sated;
    this.#follow();
  }

  /** Nobody is against it any more. */
  free(): void {
    this.#held = this.#sated = false;
    this.#follow();
  }

  /** The socket is somebody else's now. As after an upgrade of node:http, the first listener starts the flow. */
  release(): void {
    if (this.#onData) this.#socket.off("data", this.#onData);
    else readAsStream(this.#socket);
    this.free();
    (this.#socket as { readableFlowing: boolean | null }).readableFlowing = null;
  }

  #follow(): void {
    const pause = this.#held || this.#sated;
    if (pause === this.#paused) return;
    this.#paused = pause;
    if (pause) this.#socket.pause();
    else this.#socket.resume();
  }
}
