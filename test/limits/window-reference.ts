import type { WindowLimit } from "../../src/tenancy/limits/index.ts";

interface Hit {
  readonly atMs: number;
  readonly cost: number;
}

const ROUNDING = 1e-6;

/** The rule of one window, kept the slow way: all requests let through, counted anew for each question. */
export class WindowReference {
  readonly #limit: WindowLimit;
  readonly admitted: Hit[] = [];
  /** Starts of the windows so far. */
  readonly #starts: number[] = [];

  constructor(limit: WindowLimit) {
    this.#limit = limit;
  }

  /** How many units are in view at this time, which is that of a request. */
  inView(nowMs: number): number {
    const { kind, windowMs } = this.#limit;
    const start = this.#startAt(nowMs);
    const used = this.#sum(start, start + windowMs);
    return kind === "fixed" ? used : used + this.#sum(start - windowMs, start) * (1 - (nowMs - start) / windowMs);
  }

  hasRoom(nowMs: number, cost: number): boolean {
    return this.inView(nowMs) + cost <= this.#limit.count + ROUNDING;
  }

  admit(nowMs: number, cost: number): void {
    this.admitted.push({ atMs: nowMs, cost });
  }

  /** The most units let through in any stretch as long as the window. */
  get most(): number {
    return Math.max(0, ...this.admitted.map(({ atMs }) => this.#sum(atMs, atMs + this.#limit.windowMs)));
  }

  #startAt(nowMs: number): number {
    const { kind, windowMs } = this.#limit;
    const last = this.#starts.at(-1);
    const elapsed = last === undefined ? Number.POSITIVE_INFINITY : (nowMs - last) / windowMs;
    const follows = kind === "sliding" && elapsed >= 1 && elapsed < 2;
    const start = last === undefined || (elapsed >= 1 && !follows) ? nowMs : last + (follows ? windowMs : 0);
    this.#starts.push(start);
    return start;
  }

  #sum(fromMs: number, toMs: number): number {
    return this.admitted.reduce((sum, { atMs, cost }) => sum + (atMs >= fromMs && atMs < toMs ? cost : 0), 0);
  }
}
