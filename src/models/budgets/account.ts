/** Names the use that one budget adds up in one period. Its parts are never joined. */
export interface AccountKey {
  readonly tenant: string;
  readonly budget: string;
  /** A key, a user or a model; empty for the whole tenant. */
  readonly subject: string;
  readonly periodMs: number;
}

/** What a gateway asks the ledger for. */
export interface LeaseAsk {
  readonly key: AccountKey;
  readonly cap: number;
  /** Units that requests wait for, and those that would be good to have. */
  readonly need: number;
  readonly want: number;
}

/** The answer: units that are this gateway's now, units that nobody has, and whether its lease of before is still its own. */
export interface LeaseAnswer {
  readonly given: number;
  readonly free: number;
  readonly known: boolean;
}

/** What is taken out of a lease. */
export interface Settlement {
  readonly key: AccountKey;
  readonly settled: number;
  readonly returned: number;
}

/** How many units somebody wants: at least `need`, and so many when so many are left. */
export interface UnitsWanted {
  readonly need: number;
  want(total: number): number;
}

interface Waiting extends UnitsWanted {
  readonly resolve: (units: number) => void;
  readonly reject: (error: unknown) => void;
  asked: number;
}

/** How long a lease is good. It is renewed at half of it; after a crash its units are free again when it is over. */
export const LEASE_MS = 60_000;
/** What the ledger has refused is refused without asking for so long. */
const REFUSAL_MS = 100;
/** A lease that was not used for so long is given back. */
const IDLE_MS = 1_000;
/** How many times what was asked for is leased: at first, and at most where leases do not last. */
const AHEAD = { least: 4, most: 4_096 } as const;
/** A lease that did not last so long was too small. */
const LASTS_MS = 500;
/** Beyond the least, no more than this part of what nobody has is leased ahead: other gateways have to find some of it. */
const AHEAD_PART = 16;
/** A question whose answer helps nobody is put again so often. */
const ASKED_MAX = 3;

/** The ports of an account: the ledger, and a time that never goes back. */
export interface AccountPorts {
  readonly lease: (ask: LeaseAsk) => Promise<LeaseAnswer>;
  readonly nowMs: () => number;
}

/**
 * One budget in one period, as one gateway sees it: its lease, and what of it is held and used. Units are given out at once while the lease lasts, and
 * after the ledger's answer otherwise; never more than were leased.
 */
export class Account {
  readonly key: AccountKey;
  readonly #ports: AccountPorts;
  cap: number;
  #leased = 0;
  #held = 0;
  #unsettled = 0;
  /** What is on its way out of the lease. */
  #sending: Settlement | undefined;
  /** Whether the ledger has begun a new lease while that was on its way. */
  #hasBegun = false;
  /** Part of `#leased` that the ledger has taken back, although it is held or used. */
  #lost = 0;
  #free = 0;
  #heardMs = Number.NEGATIVE_INFINITY;
  #ahead: number = AHEAD.least;
  #leaseUntilMs = Number.NEGATIVE_INFINITY;
  #usedMs: number;
  #waiting: Waiting[] = [];
  #asking = false;

  constructor(key: AccountKey, cap: number, ports: AccountPorts) {
    this.key = key;
    this.cap = cap;
    this.#ports = ports;
    this.#usedMs = ports.nowMs();
  }

  /** Units, or 0 when not even what is needed is left. Rejects when the ledger cannot be asked. */
  take(wanted: UnitsWanted): number | Promise<number> {
    const units = this.takeNow(wanted);
    if (units !== undefined) return units;
    return new Promise((resolve, reject) => {
      this.#waiting.push({ need: wanted.need, want: (total) => wanted.want(total), resolve, reject, asked: 0 });
      this.#ask();
    });
  }

  /** What can be said at once: units, 0 where nothing is left, or undefined when only the ledger can tell. */
  takeNow(units: UnitsWanted): number | undefined {
    const nowMs = this.#ports.nowMs();
    this.#usedMs = nowMs;
    const available = this.#available(nowMs);
    const wanted = units.want(available + this.#free);
    if (wanted <= available) return this.#hold(wanted);
    return nowMs - this.#heardMs < REFUSAL_MS && available + this.#free < units.need ? 0 : undefined;
  }

  /** What was held is over: so much of it was used. More than was held is a debt of the budget. */
  settle(held: number, used: number): void {
    this.#held -= held;
    this.#unsettled += used;
    // what comes back of what was lost is not this gateway's any more
    const gone = Math.min(this.#lost, Math.max(0, held - used));
    this.#lost -= gone;
    this.#leased -= gone;
    this.#usedMs = this.#ports.nowMs();
  }

  /** What has to be told to the ledger now, if anything. `confirm` or `retry` must follow. */
  collect(isClosing: boolean): Settlement | undefined {
    const nowMs = this.#ports.nowMs();
    const isIdle = isClosing || (nowMs - this.#usedMs >= IDLE_MS && this.#waiting.length === 0);
    const returned = isIdle ? Math.max(0, this.#leased - this.#held - this.#unsettled) : 0;
    const isOld = this.#leased > 0 && nowMs >= this.#leaseUntilMs - LEASE_MS / 2;
    if (this.#sending || (this.#unsettled === 0 && returned === 0 && !isOld)) return undefined;
    // what was lost is in no lease any more
    const fromLost = Math.min(this.#lost, this.#unsettled + returned);
    const lostReturned = Math.max(0, fromLost - this.#unsettled);
    this.#sending = { key: this.key, settled: this.#unsettled, returned: returned - lostReturned };
    this.#lost -= fromLost;
    this.#leased -= lostReturned;
    this.#unsettled = 0;
    return this.#sending;
  }

  /** The ledger has taken it. `known`: the lease was still this gateway's. */
  confirm(known: boolean, sentMs: number): void {
    const { settled, returned } = this.#sending ?? { settled: 0, returned: 0 };
    this.#sending = undefined;
    this.#leased -= settled + returned;
    this.#leaseUntilMs = Math.max(this.#leaseUntilMs, sentMs + LEASE_MS);
    // a lease that has begun meanwhile is another one
    if (!known && !this.#hasBegun) this.#lose();
    this.#hasBegun = false;
  }

  /** Whether nothing depends on it. */
  get isOver(): boolean {
    return this.#held === 0 && this.#unsettled === 0 && this.#leased <= 0 && !this.#sending && !this.#asking && this.#waiting.length === 0;
  }

  /** Since when it was not asked, in monotonic milliseconds. */
  get usedMs(): number {
    return this.#usedMs;
  }

  #available(nowMs: number): number {
    return Math.max(0, this.#balance(nowMs));
  }

  /** What of the lease nobody has; below zero where more was used than was held. */
  #balance(nowMs: number): number {
    if (nowMs >= this.#leaseUntilMs) return 0;
    const { settled, returned } = this.#sending ?? { settled: 0, returned: 0 };
    return this.#leased - this.#held - this.#unsettled - settled - returned;
  }

  #hold(units: number): number {
    this.#held += units;
    return units;
  }

  #ask(): void {
    if (this.#asking) return;
    this.#asking = true;
    // what else this turn of the event loop brings is asked for together
    queueMicrotask(() => {
      const balance = this.#balance(this.#ports.nowMs());
      const available = Math.max(0, balance);
      const need = this.#waiting.reduce((sum, { need: each }) => sum + each, 0);
      const want = this.#waiting.reduce((sum, waiting) => sum + waiting.want(available + this.#free), 0);
      const askedMs = this.#ports.nowMs();
      // a debt is paid first, or whoever waits would be refused although there is enough
      const debt = available - balance;
      const ahead = Math.max(want * AHEAD.least, Math.min(want * this.#aheadAt(askedMs), Math.floor(this.#free / AHEAD_PART)));
      this.#ports.lease({ key: this.key, cap: this.cap, need: Math.max(0, need - balance), want: ahead + debt }).then(
        (answer) => this.#heard(answer, askedMs),
        (error: unknown) => this.#failed(error),
      );
    });
  }

  /** Twice as much where the last lease was soon used up, so that a busy gateway does not ask with every few requests. */
  #aheadAt(nowMs: number): number {
    const was = this.#ahead;
    this.#ahead = nowMs - this.#heardMs < LASTS_MS ? Math.min(was * 2, AHEAD.most) : Math.max(was / 2, AHEAD.least);
    return this.#ahead;
  }

  #heard({ given, free, known }: LeaseAnswer, askedMs: number): void {
    this.#asking = false;
    const nowMs = this.#ports.nowMs();
    // before its time is over a lease ends only by the settlement that takes the last of it, which is still to be confirmed
    const isSettled = this.#sending !== undefined && nowMs < this.#leaseUntilMs;
    if (!known && isSettled) this.#begin();
    else if (!known && this.#leased > 0) this.#lose();
    // what was used beyond the last lease was settled with it
    else if (!known) this.#leased = 0;
    this.#leased += given;
    this.#free = free;
    this.#heardMs = nowMs;
    this.#leaseUntilMs = askedMs + LEASE_MS;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const each of waiting) this.#serve(each);
    if (this.#waiting.length > 0) this.#ask();
  }

  #serve(waiting: Waiting): void {
    const available = this.#available(this.#ports.nowMs());
    const wanted = waiting.want(available + this.#free);
    const isAll = this.#free === 0 || ++waiting.asked >= ASKED_MAX;
    if (wanted <= available) waiting.resolve(this.#hold(wanted));
    else if (isAll && available >= waiting.need) waiting.resolve(this.#hold(available));
    else if (isAll || available + this.#free < waiting.need) waiting.resolve(0);
    else this.#waiting.push(waiting);
  }

  #failed(error: unknown): void {
    this.#asking = false;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const { reject } of waiting) reject(error);
  }

  /** What is on its way has ended the lease, or found it over: of what is left, nothing is in the one that begins. */
  #begin(): void {
    const { settled, returned } = this.#sending ?? { settled: 0, returned: 0 };
    this.#lost = Math.max(0, this.#leased - settled - returned);
    this.#leased = settled + returned + this.#lost;
    this.#hasBegun = true;
  }

  /** Others may have what was leased. What is held or used of it is still going to be settled. */
  #lose(): void {
    this.#lost = this.#held + this.#unsettled;
    this.#leased = this.#lost;
  }
}
