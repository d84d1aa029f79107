import { BoundedMap, type Clock, Fault, type HeapItem, IndexedHeap } from "../../kernel/index.ts";
import type { FairQueue, FairTicket } from "./limits.ts";
import { LinkedList, type Place } from "./linked-list.ts";

/** How a queue is bounded. */
export interface FairQueueOptions {
  /** Places, all tenants together. */
  readonly concurrency: number;
  /** Requests of one tenant that may wait. */
  readonly queueMax: number;
  /** How long a request may wait. */
  readonly deadlineMs: number;
  readonly clock: Clock;
  /** While it says so, tenants that have their part of what is under way, or more, are refused at once. */
  readonly overloaded?: () => boolean;
}

/** One tenant that has work here. */
interface Line extends HeapItem {
  readonly tenant: string;
  weight: number;
  active: number;
  /** The time its work has held places so far, divided by its weight, on a scale that all share. What is under way counts as expected. */
  served: number;
  /** How long its next request is expected to hold a place: a mean in which the latest count most. In milliseconds. */
  expectedMs: number;
  readonly waiters: LinkedList<Waiter>;
}

interface Waiter {
  readonly line: Line;
  readonly enteredMs: number;
  readonly admit: (ticket: FairTicket) => void;
  readonly refuse: (reason: unknown) => void;
  /** Stops listening for the caller going away. */
  forget: () => void;
  places: readonly [Place<Waiter>, Place<Waiter>] | undefined;
}

/** A place in use: what it was expected to take, at which weight. */
interface Turn {
  readonly sinceMs: number;
  readonly expectedMs: number;
  readonly weight: number;
}

/** Tenants without work that have had more than others: they do not begin anew by leaving for a moment. */
const DEBTS_MAX = 10_000;
/** Every turn counts for so much at least, so that requests of no length take turns too. In milliseconds. */
const TURN_MS = 0.05;
/** How much the latest request changes what is expected. */
const LATEST_PART = 1 / 8;
/** The deadline is looked at so many times while it passes. */
const LOOKS = 8;
const RETRY_MS = 1_000;

/**
 * Start-time fair queueing: a place goes to the tenant whose work has held places for the shortest time for its weight. What a request will
 * take is expected when it begins and put right when it leaves. So every tenant with work gets its weighted part of the time, whatever the
 * others send and however long their requests take; no place is empty while one waits. Taking and leaving cost O(log tenants).
 */
export function createFairQueue(options: FairQueueOptions): FairQueue {
  return new Queue(options);
}

class Queue implements FairQueue {
  readonly #options: FairQueueOptions;
  readonly #lines = new Map<string, Line>();
  readonly #backlogged = new IndexedHeap<Line>(isBefore);
  readonly #waiters = new LinkedList<Waiter>();
  /** What tenants without work had been served beyond the others. */
  readonly #debts = new BoundedMap<string, number>(DEBTS_MAX);
  /** What the tenant that got the last place had been served: who comes in begins there. */
  #served = 0;
  /** Over all tenants, for those of which nothing is known yet. */
  #expectedMs = TURN_MS;
  #weights = 0;
  #active = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: FairQueueOptions) {
    this.#options = options;
  }

  get waiting(): number {
    return this.#waiters.size;
  }

  get active(): number {
    return this.#active;
  }

  enter(tenant: string, weight: number, signal?: AbortSignal): FairTicket | Promise<FairTicket> {
    if (!(weight > 0 && weight < Number.POSITIVE_INFINITY)) throw new RangeError(`a weight must be above 0, not ${weight}`);
    const nowMs = this.#options.clock.monotonic();
    this.#expire(nowMs);
    const known = this.#lines.get(tenant);
    if (known && this.#options.overloaded?.() === true && this.#hasItsPart(known)) throw refused("shed: the process is overloaded");
    const isFree = this.#active < this.#options.concurrency;
    if (!isFree && (known?.waiters.size ?? 0) >= this.#options.queueMax) throw refused("the tenant's queue is full");
    const line = known ?? this.#begin(tenant, weight);
    this.#weigh(line, weight);
    return isFree ? this.#admit(line, nowMs) : this.#wait(line, nowMs, signal);
  }

  #wait(line: Line, enteredMs: number, signal: AbortSignal | undefined): Promise<FairTicket> {
    return new Promise((resolve, reject) => {
      const waiter: Waiter = { line, enteredMs, admit: resolve, refuse: reject, forget: () => {}, places: undefined };
      waiter.places = [line.waiters.append(waiter), this.#waiters.append(waiter)];
      if (line.at === -1) this.#backlogged.add(line);
      this.#look();
      if (!signal) return;
      const leave = (): void => this.#refuse(waiter, signal.reason);
      if (signal.aborted) return leave();
      signal.addEventListener("abort", leave, { once: true });
      waiter.forget = () => signal.removeEventListener("abort", leave);
    });
  }

  #admit(line: Line, nowMs: number): FairTicket {
    this.#served = Math.max(this.#served, line.served);
    line.active++;
    this.#active++;
    const turn: Turn = { sinceMs: nowMs, expectedMs: line.expectedMs, weight: line.weight };
    line.served += turn.expectedMs / turn.weight;
    if (line.at !== -1) this.#backlogged.moved(line);
    let left = false;
    return {
      leave: () => {
        if (left) return;
        left = true;
        this.#leave(line, turn);
      },
    };
  }

  #leave(line: Line, { sinceMs, expectedMs, weight }: Turn): void {
    const nowMs = this.#options.clock.monotonic();
    const tookMs = nowMs - sinceMs + TURN_MS;
    line.active--;
    this.#active--;
    line.served += (tookMs - expectedMs) / weight;
    line.expectedMs += (tookMs - line.expectedMs) * LATEST_PART;
    this.#expectedMs += (tookMs - this.#expectedMs) * LATEST_PART;
    if (line.at !== -1) this.#backlogged.moved(line);
    this.#expire(nowMs);
    this.#fill(nowMs);
    this.#endIfIdle(line);
  }

  /** Gives free places to those whose turn it is. */
  #fill(nowMs: number): void {
    while (this.#active < this.#options.concurrency) {
      const waiter = this.#backlogged.first?.waiters.first;
      if (!waiter) return;
      const ticket = this.#admit(waiter.line, nowMs);
      this.#remove(waiter);
      waiter.admit(ticket);
    }
  }

  #refuse(waiter: Waiter, reason: unknown): void {
    this.#remove(waiter);
    this.#endIfIdle(waiter.line);
    waiter.refuse(reason);
  }

  #remove(waiter: Waiter): void {
    const { line, places } = waiter;
    if (!places) return;
    waiter.places = undefined;
    line.waiters.leave(places[0]);
    this.#waiters.leave(places[1]);
    waiter.forget();
    if (line.waiters.size === 0) this.#backlogged.remove(line);
    if (this.#waiters.size > 0) return;
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  /** One deadline for all, so the first to arrive is the first whose time is over. */
  #expire(nowMs: number): void {
    for (;;) {
      const waiter = this.#waiters.first;
      if (!waiter || waiter.enteredMs + this.#options.deadlineMs > nowMs) return;
      this.#refuse(waiter, refused("waited too long for a place"));
    }
  }

  #look(): void {
    this.#timer ??= setTimeout(
      () => {
        this.#timer = undefined;
        this.#expire(this.#options.clock.monotonic());
        if (this.#waiters.size > 0) this.#look();
      },
      Math.ceil(this.#options.deadlineMs / LOOKS),
    ).unref();
  }

  #begin(tenant: string, weight: number): Line {
    const served = Math.max(this.#served, this.#debts.peek(tenant) ?? 0);
    this.#debts.delete(tenant);
    const line: Line = { tenant, weight, active: 0, served, expectedMs: this.#expectedMs, waiters: new LinkedList(), at: -1 };
    this.#lines.set(tenant, line);
    this.#weights += weight;
    return line;
  }

  #weigh(line: Line, weight: number): void {
    if (line.weight === weight) return;
    this.#weights += weight - line.weight;
    line.weight = weight;
  }

  #endIfIdle(line: Line): void {
    if (line.active > 0 || line.waiters.size > 0 || this.#lines.get(line.tenant) !== line) return;
    this.#lines.delete(line.tenant);
    if (this.#lines.size > 0) {
      this.#weights -= line.weight;
      if (line.served > this.#served) this.#debts.set(line.tenant, line.served);
      return;
    }
    // nobody has been kept waiting: all begin anew, and rounding does not add up
    this.#weights = 0;
    this.#served = 0;
    this.#debts.clear();
  }

  #hasItsPart({ active, waiters, weight }: Line): boolean {
    return (active + waiters.size) * this.#weights >= (this.#active + this.#waiters.size) * weight;
  }
}

function isBefore(a: Line, b: Line): boolean {
  return a.served < b.served;
}

function refused(message: string): Fault {
  return new Fault("overloaded", message, { public: { retryAfterMs: RETRY_MS } });
}
