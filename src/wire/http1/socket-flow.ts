import type { Socket } from "node:net";

/** Whether a caller's socket is read at the moment. Two may be against it, and only when neither is it goes on. */
export class SocketFlow {
  readonly #socket: Socket;
  /** What arrived has to wait here. */
  #held = false;
  /** Whoever takes the body wants no more for now. */
  #sated = false;
  #paused = false;

  constructor(socket: Socket) {
    this.#socket = socket;
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

  #follow(): void {
    const pause = this.#held || this.#sated;
    if (pause === this.#paused) return;
    this.#paused = pause;
    if (pause) this.#socket.pause();
    else this.#socket.resume();
  }
}
