import type { LedgerWatch } from "./ledger-watch.ts";

/** What one kind of limit does with its leases. */
export interface LeaseRule<Request, Decision, Answer> {
  /** A decision from what is known, or undefined when only the ledger can tell. */
  decide(request: Request): Decision | undefined;
  /** A decision from this gateway's own part of the limit. */
  byShare(request: Request): Decision;
  /** The ledger was asked for this and has not given enough; undefined when its answer was over before it came. */
  refuse(request: Request): Decision | undefined;
  /** Whether the ledger should be asked although nobody waits. */
  readonly due: boolean;
  /** Puts the question. What it reports is held to be known until `unsaid`. */
  ask(waiting: readonly Request[]): Promise<Answer>;
  hear(answer: Answer, askedMs: number): void;
  /** The last question was not answered: what it reported is to be said again. */
  unsaid(): void;
  /** Whether the ledger should be told something now, as time has passed. */
  tend(): boolean;
  /** Whether there is something to tend. */
  readonly isHolding: boolean;
}

interface Waiting<Request, Decision> {
  readonly request: Request;
  readonly settle: (decision: Decision) => void;
  asked: number;
}

/** An answer may be over when it comes: the window ended meanwhile. Asked so often, a request is decided here. */
const ASKED_MAX = 2;

/** One counter that gateways share, as one of them sees it. At most one question is under way. */
export class SharedKey<Request, Decision, Answer> {
  readonly rule: LeaseRule<Request, Decision, Answer>;
  readonly #watch: LedgerWatch;
  readonly #onHeard: () => void;
  #waiting: Waiting<Request, Decision>[] = [];
  #asking = false;
  #again = false;

  constructor(rule: LeaseRule<Request, Decision, Answer>, watch: LedgerWatch, onHeard: () => void) {
    this.rule = rule;
    this.#watch = watch;
    this.#onHeard = onHeard;
  }

  /** Whether a question is under way. */
  get isAsking(): boolean {
    return this.#asking;
  }

  /** At once: from the lease, or where that cannot tell from this gateway's part of the limit. */
  now(request: Request): Decision {
    const decision = this.rule.decide(request);
    if (decision === undefined || this.rule.due) this.tell();
    return decision ?? this.rule.byShare(request);
  }

  /** From the lease at once, or after the ledger's answer; without an answer in time from this gateway's part. */
  exact(request: Request): Decision | Promise<Decision> {
    const decision = this.rule.decide(request);
    if (decision !== undefined) {
      if (this.rule.due) this.tell();
      return decision;
    }
    if (!this.#watch.reachable) {
      this.tell();
      return this.rule.byShare(request);
    }
    return new Promise((settle) => {
      this.#waiting.push({ request, settle, asked: 0 });
      this.tell();
    });
  }

  /** Asks the ledger in the background, unless that is under way. */
  tell(): void {
    if (this.#asking || !this.#watch.open) return;
    this.#asking = true;
    // what else this turn of the event loop brings is asked for together
    queueMicrotask(() => this.#ask());
  }

  /** Like `tell`, but what is said came after the question under way, if there is one. */
  tellAnew(): void {
    this.#again = this.#asking;
    this.tell();
  }

  #ask(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    this.#again = false;
    const askedMs = this.#watch.clock.monotonic();
    let isLate = false;
    this.#watch.ask(this.rule.ask(waiting.map(({ request }) => request)), {
      heard: (answer) => {
        this.#asking = false;
        this.rule.hear(answer, askedMs);
        this.#goOn(isLate ? [] : waiting);
        this.#onHeard();
      },
      late: () => {
        isLate = true;
        for (const { request, settle } of [...waiting, ...this.#waiting]) settle(this.rule.byShare(request));
        this.#waiting = [];
      },
      lost: () => {
        this.#asking = false;
        this.rule.unsaid();
      },
    });
  }

  /** Decides about those who asked, then about those who came while the question was under way. */
  #goOn(asked: readonly Waiting<Request, Decision>[]): void {
    const came = this.#waiting;
    this.#waiting = [];
    for (const waiting of asked) {
      const { request, settle } = waiting;
      const decision = this.rule.decide(request) ?? this.rule.refuse(request);
      if (decision !== undefined) settle(decision);
      else if (++waiting.asked < ASKED_MAX) this.#waiting.push(waiting);
      else settle(this.rule.byShare(request));
    }
    for (const waiting of came) {
      const decision = this.rule.decide(waiting.request);
      if (decision === undefined) this.#waiting.push(waiting);
      else waiting.settle(decision);
    }
    if (this.#waiting.length > 0 || this.#again || this.rule.due) this.tell();
  }
}
