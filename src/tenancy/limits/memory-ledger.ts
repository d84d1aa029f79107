import { BoundedMap, type Clock } from "../../kernel/index.ts";
import { type BucketUse, emptyBucket, fillBucket, bucketRoom, nextExcess } from "./bucket-use.ts";
import {
  type BucketAsk,
  type BucketLease,
  grantOf,
  type LimitLedger,
  SLOT_LIFE_MS,
  type SlotAsk,
  type SlotLease,
  type WindowAsk,
  type WindowLease,
} from "./ledger.ts";
import { turnWindow, unitsLeft, type WindowUse } from "./window-use.ts";

/** A ledger in the memory of one process, for the gateways of one machine. */
export interface MemoryLedger {
  /** The ledger as one gateway sees it, from now until it closes. */
  join(): LimitLedger;
}

interface LedgerWindow extends WindowUse {
  id: string;
  previousId: string;
}

interface HeldSlots {
  readonly count: number;
  readonly untilMs: number;
}

const ENTRIES_MAX = 200_000;

/** A ledger whose counters are bounded: those not used for longest go first. */
export function createMemoryLedger(clock: Clock): MemoryLedger {
  const books = new Books(clock);
  return { join: () => new Member(books) };
}

class Books {
  readonly #clock: Clock;
  readonly #windows = new BoundedMap<string, LedgerWindow>(ENTRIES_MAX);
  readonly #buckets = new BoundedMap<string, BucketUse>(ENTRIES_MAX);
  readonly #slots = new Map<string, Map<object, HeldSlots>>();
  readonly members = new Set<object>();
  #windowsMade = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  window(ask: WindowAsk): WindowLease {
    const { shape } = ask;
    const nowMs = this.#clock.monotonic();
    const window = this.#windows.get(ask.key) ?? this.#beginWindow(ask, nowMs);
    const { startMs } = window;
    turnWindow(window, shape, nowMs);
    if (window.startMs !== startMs) {
      window.previousId = window.id;
      window.id = this.#nextId();
    }
    const turned = ask.windowId !== "" && ask.windowId === window.previousId;
    count(window, ask, turned);
    const granted = ask.want > 0 ? grantOf(ask, unitsLeft(window, shape, nowMs)) : 0;
    window.used += granted;
    const { id, used, before } = window;
    return { windowId: id, turned, granted, used, before, elapsedMs: nowMs - window.startMs };
  }

  bucket({ key, shape, debt, ...ask }: BucketAsk): BucketLease {
    const nowMs = this.#clock.monotonic();
    const use = this.#buckets.get(key) ?? emptyBucket(nowMs);
    this.#buckets.set(key, use);
    if (debt > 0) fillBucket(use, shape, debt, nowMs);
    const granted = grantOf({ key, ...ask }, bucketRoom(use, shape, nowMs));
    return { granted, excess: granted > 0 ? fillBucket(use, shape, granted, nowMs) : nextExcess(use, shape, nowMs) };
  }

  slots(member: object, { key, max, held, want }: SlotAsk): SlotLease {
    const nowMs = this.#clock.monotonic();
    const holders = this.#slots.get(key) ?? new Map<object, HeldSlots>();
    this.#slots.set(key, holders);
    let others = 0;
    for (const [holder, { count: places, untilMs }] of holders) {
      if (holder === member || untilMs <= nowMs) holders.delete(holder);
      else others += places;
    }
    const granted = Math.max(held, Math.min(want, max - others));
    if (granted > 0) holders.set(member, { count: granted, untilMs: nowMs + SLOT_LIFE_MS });
    if (holders.size === 0) this.#slots.delete(key);
    return { granted, others };
  }

  leave(member: object): void {
    this.members.delete(member);
    for (const [key, holders] of this.#slots) {
      holders.delete(member);
      if (holders.size === 0) this.#slots.delete(key);
    }
  }

  #beginWindow({ key, shape, windowId, leftMs }: WindowAsk, nowMs: number): LedgerWindow {
    const startMs = windowId === "" ? nowMs : nowMs - Math.max(0, shape.windowMs - leftMs);
    const window: LedgerWindow = { id: this.#nextId(), previousId: "", startMs, used: 0, before: 0 };
    this.#windows.set(key, window);
    return window;
  }

  /** Never the same again, not even in the ledger of a process that has been started anew. */
  #nextId(): string {
    return `${this.#clock.now()}.${this.#windowsMade++}`;
  }
}

/** Counts what the gateway used without a lease, takes back what it did not use, and what was forgotten. */
function count(window: LedgerWindow, { windowId, debt, held, unused }: WindowAsk, turned: boolean): void {
  if (windowId === window.id) window.used = Math.max(0, window.used + debt - unused);
  else if (turned) window.before += debt;
  else window.used += debt + (windowId === "" ? 0 : held - unused);
}

/** The books as seen by one gateway. */
class Member implements LimitLedger {
  readonly #books: Books;

  constructor(books: Books) {
    this.#books = books;
    books.members.add(this);
  }

  get gateways(): number {
    return Math.max(1, this.#books.members.size);
  }

  // async: an error of a question is an answer that did not come
  async window(ask: WindowAsk): Promise<WindowLease> {
    return this.#books.window(ask);
  }

  async bucket(ask: BucketAsk): Promise<BucketLease> {
    return this.#books.bucket(ask);
  }

  async slots(ask: SlotAsk): Promise<SlotLease> {
    return this.#books.slots(this, ask);
  }

  async close(): Promise<void> {
    this.#books.leave(this);
  }
}
