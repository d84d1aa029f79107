import { randomUUID } from "node:crypto";
import { type Fault, toFault } from "../../kernel/index.ts";
import { sql, type SystemData } from "../../stores/data/index.ts";
import type { Attempt } from "../attempts.ts";
import { insertLines } from "./ledger-rows.ts";

const FLUSH_MS = 200;
const BATCH_MAX = 1_000;

/** What a ledger is kept with. */
export interface LedgerPorts {
  readonly system: SystemData;
  readonly report: (fault: Fault) => void;
}

/**
 * The lines of this gateway on their way into the database: in batches, in order, each written once, also when the confirmation of one is lost.
 * What cannot be written is kept until it can.
 */
export class Ledger {
  readonly #ports: LedgerPorts;
  readonly #gateway = randomUUID();
  readonly #timer: NodeJS.Timeout;
  #lines: Attempt[] = [];
  /** The batch that is being written, or was not confirmed. */
  #sending: readonly Attempt[] = [];
  #batch = 0;
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
    return this.#lines.length + this.#sending.length;
  }

  /** Writes what there is. Rejects when that is not possible; nothing is lost then. */
  async flush(): Promise<void> {
    await this.#flushing?.catch(() => undefined); // told to whoever began it
    while (this.pending > 0) await this.#begin();
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    await this.flush().catch((error: unknown) => this.#ports.report(toFault(error)));
  }

  #wake(): void {
    if (this.#flushing || this.pending === 0) return;
    this.#begin().catch((error: unknown) => {
      if (!this.#failing) this.#ports.report(toFault(error));
      this.#failing = true;
    });
  }

  #begin(): Promise<void> {
    this.#flushing = this.#write().finally(() => {
      this.#flushing = undefined;
    });
    return this.#flushing;
  }

  async #write(): Promise<void> {
    if (this.#sending.length === 0) {
      this.#sending = this.#lines.splice(0, BATCH_MAX);
      this.#batch++;
    }
    const [lines, batch] = [this.#sending, this.#batch];
    await this.#ports.system.transaction(async (tx) => {
      const { count } = await tx.query(sql`
        insert into freehold.model_gateways as g (gateway, batch) values (${this.#gateway}, ${batch})
        on conflict (gateway) do update set batch = excluded.batch, seen_at = now() where g.batch < excluded.batch`);
      if (count > 0) await insertLines(tx, lines);
    });
    this.#sending = [];
    this.#failing = false;
  }
}
