import type { Clock } from "../../kernel/index.ts";
import type { LimitLedger } from "./ledger.ts";

/** While the ledger is away it is asked so often whether it is back, all keys together. In milliseconds. */
const PROBE_MS = 100;

/** A question that is unanswered for so many times as long as anybody waits is put again. */
const LOST_WAITS = 40;

/** A ledger of which it is known whether it answers, and for which nobody waits longer than a fixed time. */
export class LedgerWatch {
  readonly ledger: LimitLedger;
  readonly clock: Clock;
  readonly #waitMs: number;
  #reachable = true;
  #probedMs = Number.NEGATIVE_INFINITY;

  constructor(ledger: LimitLedger, clock: Clock, waitMs: number) {
    this.ledger = ledger;
    this.clock = clock;
    this.#waitMs = waitMs;
  }

  /** Whether an answer is worth waiting for. */
  get reachable(): boolean {
    return this.#reachable;
  }

  /** Whether a question may be sent now. */
  get open(): boolean {
    return this.#reachable || this.clock.monotonic() - this.#probedMs >= PROBE_MS;
  }

  /** What this gateway may let through of `count` on its own: its even part, and one at least, so that small limits do not close. */
  shareOf(count: number): number {
    return count < 1 ? 0 : Math.max(1, Math.floor(count / this.ledger.gateways));
  }

  /** Asks. `late` is called at most once, when there is no answer in time or none at all; then `heard` may follow, or `lost`. */
  ask<T>(question: Promise<T>, { heard, late, lost }: AskListener<T>): void {
    if (!this.#reachable) this.#probedMs = this.clock.monotonic();
    let check: NodeJS.Immediate | undefined;
    let isLate = false;
    let isOver = false;
    const giveUp = (): void => {
      if (isLate) return;
      isLate = true;
      this.#reachable = false;
      this.#probedMs = this.clock.monotonic();
      late();
    };
    const end = (report: () => void): void => {
      clearTimeout(timer);
      clearImmediate(check);
      if (!isOver) report();
      isOver = true;
    };
    // an answer that came in while this process was busy is read before the check
    let timer = setTimeout(() => {
      check = setImmediate(() => {
        giveUp();
        timer = setTimeout(() => end(lost), this.#waitMs * LOST_WAITS).unref();
      });
    }, this.#waitMs);
    question.then(
      (answer) => {
        this.#reachable = true;
        end(() => heard(answer));
      },
      () => {
        end(lost);
        giveUp();
      },
    );
  }
}

/** What becomes of a question. */
export interface AskListener<T> {
  readonly heard: (answer: T) => void;
  readonly late: () => void;
  readonly lost: () => void;
}
