import { type Clock, type Fault, toFault } from "../../kernel/index.ts";
import { sql, type SystemData } from "../../stores/data/index.ts";
import type { Attempt } from "../attempts.ts";
import type { Settlement } from "./account.ts";
import type { BudgetBook } from "./budget-book.ts";
import { insertLines } from "./ledger-rows.ts";

const FLUSH_MS = 200;
const BATCH_MAX = 1_000;

/** What a ledger is kept with. */
export interface LedgerPorts {
  readonly system: SystemData;
  readonly clock: Clock;
  readonly budgets: BudgetBook;
  /** Names this gateway among others. */
  readonly gateway: string;
  readonly report: (fault: Fault) => void;
}

/** Lines, and what they took out of budgets: written together or not at all. */
interface Batch {
  readonly number: number;
  readonly lines: readonly Attempt[];
  readonly settlements: readonly Settlement[];
  readonly sentMs: number;
}

/**
 * The lines of this gateway on their way into the database, and with them what budgets have to settle: in batches, in order, each written once, also
 * when the confirmation of one is lost. What cannot be written is kept until it can.
 */
export class Ledger {
  readonly #ports: LedgerPorts;
  readonly #timer: NodeJS.Timeout;
  #lines: Attempt[] = [];
  /** The batch that is being written, or was not confirmed. */
  #sending: Batch | undefined;
  #batches = 0;
  #flushing: Promise<void> | undefined;
  #failing = false;

  constructor(ports: LedgerPorts) {
    this.#ports = ports;
    this.#timer = setInterval(() => this.#wake(), FLUSH_MS).unref();
  }

  record(line: Attempt): void {
    this.#lines.push(line);
  }

  /** Lines that are not written yet. */
  get pending(): number {
    return this.#lines.length + (this.#sending?.lines.length ?? 0);
  }

  /** Writes what there is. Rejects when that is not possible; nothing is lost then. */
  async flush(isClosing = false): Promise<void> {
    await this.#flushing?.catch(() => undefined); // told to whoever began it
    while (this.#gather(isClosing)) await this.#begin();
  }

  /** Writes everything and gives back what is leased. */
  async close(): Promise<void> {
    clearInterval(this.#timer);
    await this.flush(true).catch((error: unknown) => this.#ports.report(toFault(error)));
  }

  #wake(): void {
    if (this.#flushing || !this.#gather(false)) return;
    this.#begin().catch((error: unknown) => {
      if (!this.#failing) this.#ports.report(toFault(error));
      this.#failing = true;
    });
  }

  /** The next batch, unless one is under way already; undefined when there is nothing to say. */
  #gather(isClosing: boolean): Batch | undefined {
    if (this.#sending) return this.#sending;
    const { budgets, clock } = this.#ports;
    const settlements = budgets.collect(isClosing);
    if (this.#lines.length === 0 && settlements.length === 0) return undefined;
    this.#sending = { number: ++this.#batches, lines: this.#lines.splice(0, BATCH_MAX), settlements, sentMs: clock.monotonic() };
    return this.#sending;
  }

  #begin(): Promise<void> {
    this.#flushing = this.#write().finally(() => {
      this.#flushing = undefined;
    });
    return this.#flushing;
  }

  async #write(): Promise<void> {
    const batch = this.#sending;
    if (!batch) return;
    const { system, budgets, gateway } = this.#ports;
    const known = await system.transaction(async (tx) => {
      const { count } = await tx.query(sql`
        insert into freehold.model_gateways as g (gateway, batch) values (${gateway}, ${batch.number})
        on conflict (gateway) do update set batch = excluded.batch, seen_at = now() where g.batch < excluded.batch`);
      // it was written before, and only the word of it was lost: whether leases still hold shows with the next batch
      if (count === 0) return batch.settlements.map(() => true);
      await insertLines(tx, batch.lines);
      return await budgets.write(tx, batch.settlements);
    });
    budgets.confirm(batch.settlements, known, batch.sentMs);
    this.#sending = undefined;
    this.#failing = false;
  }
}
