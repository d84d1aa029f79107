import type { RequestRate } from "../../src/kernel/index.ts";

/** Room for the rounding of doubles, in requests. */
const ROUNDING = 1e-5;

interface Admitted {
  readonly atMs: number;
  readonly rate: RequestRate;
}

/**
 * The exact rule, kept the slow way: the times of all requests let through, and a look at every window that ends now. Under one rate no
 * window of length t holds more than burst + rate·t; a window over several rates holds no more than these parts together.
 */
export class SlidingReference {
  readonly #admitted: Admitted[] = [];

  /** Takes note of a request that was let through. Gives what is wrong with that, if anything. */
  admit(atMs: number, rate: RequestRate): string | undefined {
    this.#admitted.push({ atMs, rate });
    return this.#problem(atMs, rate);
  }

  /** Whether one more now would still be within every window, since the rate was last changed. */
  hasRoom(atMs: number, rate: RequestRate): boolean {
    this.#admitted.push({ atMs, rate });
    const problem = this.#problem(atMs, rate);
    this.#admitted.pop();
    return problem === undefined;
  }

  #problem(atMs: number, rate: RequestRate): string | undefined {
    let count = 0;
    for (const first of this.#admitted.toReversed()) {
      if (first.rate !== rate) return undefined;
      count++;
      const most = rate.burst + (rate.requestsPerSecond * (atMs - first.atMs)) / 1000;
      if (count > most + ROUNDING) return `${count} requests in ${atMs - first.atMs} ms, ${most} allowed`;
    }
    return undefined;
  }
}
