import type { Timed, TimerWheel } from "../timer-wheel.ts";

/** The time limits of one connection of a caller. Those that were set hold together; the wheel only knows the next one. */
export class CallerLimits implements Timed {
  deadline = Infinity;
  turn = 0;
  readonly #wheel: TimerWheel;
  readonly #expire: () => void;
  /** For the end of a head that has begun. */
  #head = Infinity;
  /** For the end of a body. */
  #body = Infinity;
  /** For a caller that takes nothing of what waits for it. */
  #stall = Infinity;
  /** For whatever comes next when nothing is under way. */
  #idle = Infinity;

  constructor(wheel: TimerWheel, expire: () => void) {
    this.#wheel = wheel;
    this.#expire = expire;
  }

  get isStalled(): boolean {
    return this.#wheel.isOver(this.#stall);
  }

  get isLate(): boolean {
    return this.#wheel.isOver(this.#head) || this.#wheel.isOver(this.#body);
  }

  get isIdle(): boolean {
    return this.#wheel.isOver(this.#idle);
  }

  /** A head has begun to come; what it has already is not prolonged. */
  headBegins(ms: number): void {
    this.#idle = Infinity;
    if (this.#head === Infinity) this.#head = this.#wheel.after(ms);
  }

  headEnds(): void {
    this.#head = this.#idle = Infinity;
  }

  bodyBegins(ms: number): void {
    this.#body = this.#wheel.after(ms);
  }

  bodyEnds(): void {
    this.#body = Infinity;
  }

  waits(ms: number): void {
    this.#idle = this.#wheel.after(ms);
  }

  stalls(ms: number): void {
    this.#stall = this.#wheel.after(ms);
  }

  flows(): void {
    this.#stall = Infinity;
  }

  /** Nothing more is awaited from the caller. */
  stopReading(): void {
    this.#head = this.#body = this.#idle = Infinity;
  }

  /** Tells the wheel. Called once after whatever was set. */
  arm(): void {
    this.#wheel.setDeadline(this, Math.min(this.#head, this.#body, this.#stall, this.#idle));
  }

  expire(): void {
    this.#expire();
  }

  close(): void {
    this.#wheel.remove(this);
  }
}
