/** Something with a time limit. One object has one limit at a time; what it means is its own affair. */
export interface Timed {
  /** In the wheel's time; `Infinity` for none. Set by the wheel only. */
  deadline: number;
  /** The turn of the wheel at which it is looked at; 0 when it is not in the wheel. Set by the wheel only. */
  turn: number;
  /** The limit is over. It has none any more when this is called. */
  expire(): void;
}

const SLOTS = 512;
/** Turns that may be made up for at once. */
const TURNS_MAX = 2;

/**
 * Time limits for any number of things with one timer. Setting a limit writes a number; only a limit that ends sooner than the one before
 * moves its owner. A limit is never cut short and may last two ticks longer. Time in which the event loop was blocked does not count:
 * what arrived meanwhile has to be read before anybody can be called late.
 */
export class TimerWheel {
  readonly #tickMs: number;
  readonly #slots: Set<Timed>[] = Array.from({ length: SLOTS }, () => new Set());
  #turn = 1;
  #size = 0;
  #now = 0;
  #seenMs = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(tickMs: number) {
    this.#tickMs = tickMs;
  }

  /** The deadline of something that has this many milliseconds from now. */
  after(ms: number): number {
    // one tick more: the current one has partly gone by
    return this.#now + ms + this.#tickMs;
  }

  /** Whether a deadline is over. */
  isOver(deadline: number): boolean {
    return deadline <= this.#now;
  }

  /** Gives it this many milliseconds from now, instead of what it had. */
  set(timed: Timed, ms: number): void {
    this.setDeadline(timed, this.after(ms));
  }

  /** The same with a deadline made by {@link after}; `Infinity` is none. */
  setDeadline(timed: Timed, deadline: number): void {
    timed.deadline = deadline;
    if (deadline === Infinity) return;
    const turn = this.#turnOf(timed.deadline);
    if (timed.turn === 0) this.#insert(timed, turn);
    else if (turn < timed.turn) {
      this.#take(timed);
      this.#insert(timed, turn);
    }
  }

  /** No limit. It is not forgotten before its turn comes, so that setting one again costs nothing. */
  clear(timed: Timed): void {
    timed.deadline = Infinity;
  }

  /** Forgets it. */
  remove(timed: Timed): void {
    timed.deadline = Infinity;
    if (timed.turn !== 0) this.#take(timed);
  }

  /** Ends the timer; nothing expires any more. */
  close(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    for (const slot of this.#slots) slot.clear();
    this.#size = 0;
  }

  #turnOf(deadline: number): number {
    const turns = Math.ceil((deadline - this.#now) / this.#tickMs);
    return this.#turn + Math.max(1, Math.min(turns, SLOTS - 1));
  }

  #insert(timed: Timed, turn: number): void {
    timed.turn = turn;
    this.#slots[turn % SLOTS]?.add(timed);
    this.#size++;
    if (this.#timer) return;
    this.#seenMs = performance.now();
    this.#timer = setInterval(() => this.#tick(), this.#tickMs).unref();
  }

  #take(timed: Timed): void {
    this.#slots[timed.turn % SLOTS]?.delete(timed);
    timed.turn = 0;
    this.#size--;
  }

  #tick(): void {
    const turns = Math.floor((performance.now() - this.#seenMs) / this.#tickMs);
    this.#seenMs = turns > TURNS_MAX ? performance.now() : this.#seenMs + turns * this.#tickMs;
    for (let i = Math.min(turns, TURNS_MAX); i > 0; i--) this.#advance();
    if (this.#size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #advance(): void {
    this.#turn++;
    this.#now += this.#tickMs;
    const slot = this.#slots[this.#turn % SLOTS];
    if (!slot) return;
    for (const timed of slot) {
      this.#take(timed);
      if (timed.deadline <= this.#now) {
        timed.deadline = Infinity;
        timed.expire();
      } else if (timed.deadline !== Infinity) this.#insert(timed, this.#turnOf(timed.deadline));
    }
  }
}
