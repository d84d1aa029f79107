import { Fault, toFault } from "../../kernel/index.ts";
import type { SystemData } from "../../stores/data/index.ts";
import { type WaitingEntry, writeEntries } from "./write-entries.ts";

/** Entries waiting to be written. A new one over it is not taken, so that a flood cannot eat memory. */
const WAITING_MAX = 10_000;
const BATCH_MAX = 200;
const RETRY_MS = 1_000;

interface QueuePorts {
  readonly system: SystemData;
  readonly report: (fault: Fault) => void;
  /** The entry that says how many were not taken. */
  readonly lossEntry: (entries: number) => WaitingEntry;
}

/** Writes entries in the order they came, a batch at a time, and tries again for as long as the database is away. */
export class AuditQueue {
  readonly #ports: QueuePorts;
  readonly #waiting: WaitingEntry[] = [];
  #writing: Promise<void> | undefined;
  #retry: NodeJS.Timeout | undefined;
  #failing = false;
  #closed = false;
  #lost = 0;

  constructor(ports: QueuePorts) {
    this.#ports = ports;
  }

  /** Takes the entry, unless too many wait. */
  add(make: () => WaitingEntry): void {
    if (this.#closed || this.#waiting.length >= WAITING_MAX) {
      if (this.#lost++ === 0) this.#ports.report(new Fault("overloaded", "audit: too many entries wait, new ones are lost"));
      return;
    }
    this.#waiting.push(make());
    if (!this.#retry) this.#begin().catch(() => undefined); // reported, and tried again
  }

  /** Resolves when all that wait are written. */
  async flush(): Promise<void> {
    await this.#begin();
  }

  /** Writes what waits, once more if the database is away, and takes no more. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#begin().catch(() => undefined);
    clearTimeout(this.#retry);
    const left = this.#waiting.length + this.#lost;
    if (left > 0) this.#ports.report(new Fault("internal", `audit: ${left} entries were not written`));
  }

  #begin(): Promise<void> {
    if (this.#waiting.length === 0) return this.#writing ?? Promise.resolve();
    this.#writing ??= this.#write();
    return this.#writing;
  }

  async #write(): Promise<void> {
    clearTimeout(this.#retry);
    this.#retry = undefined;
    try {
      while (this.#waiting.length > 0) {
        const batch = this.#waiting.slice(0, BATCH_MAX);
        for (const { id } of await writeEntries(this.#ports.system, batch)) {
          this.#ports.report(new Fault("internal", `audit: the database does not take the entry ${id}`));
        }
        this.#waiting.splice(0, batch.length);
        this.#noteLoss();
      }
      this.#failing = false;
    } catch (error) {
      if (!this.#failing) this.#ports.report(toFault(error)); // once per outage
      this.#failing = true;
      if (!this.#closed) this.#retry = setTimeout(() => void this.#begin().catch(() => undefined), RETRY_MS).unref();
      throw error;
    } finally {
      this.#writing = undefined; // in the same step as the check above: no entry can come between
    }
  }

  #noteLoss(): void {
    if (this.#lost === 0 || this.#closed) return;
    this.#waiting.push(this.#ports.lossEntry(this.#lost));
    this.#lost = 0;
  }
}
