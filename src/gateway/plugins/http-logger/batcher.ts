import { type Clock, toFault } from "../../../kernel/index.ts";

/** When a batch is sent, and how often again (seconds). */
export interface BatchSettings {
  readonly max_retry_count: number;
  readonly retry_delay: number;
  readonly buffer_duration: number;
  readonly inactive_timeout: number;
  readonly batch_max_size: number;
}

/** Where batches go. */
export interface BatchPorts {
  readonly clock: Clock;
  /** Whether the batch was taken; a Fault counts as not. */
  send(entries: readonly string[]): Promise<boolean>;
  warn(message: string, facts: Readonly<Record<string, unknown>>): void;
}

/** Collects entries and sends them in batches. */
export interface Batcher {
  /** Returns at once. What does not fit into the buffer is dropped and counted. */
  push(entry: string): void;
  /** Sends what is left, once, and waits for it. */
  close(): Promise<void>;
}

/** All entries that wait, with those on their way. */
const PENDING_BYTES_MAX = 16 * 1024 * 1024;
const BACKOFF_MAX_MS = 60_000;
const WARN_EVERY_MS = 1000;

/** A buffer of at most `pendingMax` entries and 16 MiB. A failed batch is sent again after `retry_delay`, then twice that, and so on. */
export function createBatcher(settings: BatchSettings, pendingMax: number, ports: BatchPorts): Batcher {
  return new BoundedBatcher(settings, pendingMax, ports);
}

class BoundedBatcher implements Batcher {
  readonly #settings: BatchSettings;
  readonly #pendingMax: number;
  readonly #ports: BatchPorts;
  readonly #underWay = new Set<Promise<void>>();
  readonly #waiting = new Set<() => void>();
  #buffer: string[] = [];
  #firstMs = 0;
  #lastMs = 0;
  #timer: NodeJS.Timeout | undefined;
  #pending = 0;
  #pendingBytes = 0;
  #dropped = 0;
  #warnedMs = Number.NEGATIVE_INFINITY;
  #isClosed = false;

  constructor(settings: BatchSettings, pendingMax: number, ports: BatchPorts) {
    this.#settings = settings;
    this.#pendingMax = pendingMax;
    this.#ports = ports;
  }

  push(entry: string): void {
    if (this.#isClosed || this.#pending >= this.#pendingMax || this.#pendingBytes + entry.length > PENDING_BYTES_MAX) {
      this.#drop(1, "the buffer is full");
      return;
    }
    this.#lastMs = this.#ports.clock.monotonic();
    if (this.#buffer.length === 0) this.#firstMs = this.#lastMs;
    this.#buffer.push(entry);
    this.#pending++;
    this.#pendingBytes += entry.length;
    if (this.#buffer.length >= this.#settings.batch_max_size) this.#flush();
    else this.#timer ??= this.#startTimer();
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    for (const wake of this.#waiting) wake();
    this.#flush();
    await Promise.all(this.#underWay);
  }

  #startTimer(): NodeJS.Timeout {
    return setTimeout(() => this.#tick(), this.#settings.inactive_timeout * 1000).unref();
  }

  #tick(): void {
    this.#timer = undefined;
    if (this.#buffer.length === 0) return;
    const now = this.#ports.clock.monotonic();
    const isQuiet = now - this.#lastMs >= this.#settings.inactive_timeout * 1000;
    const isOld = now - this.#firstMs >= this.#settings.buffer_duration * 1000;
    if (isQuiet || isOld) this.#flush();
    else this.#timer = this.#startTimer();
  }

  #flush(): void {
    const entries = this.#buffer;
    if (entries.length === 0) return;
    this.#buffer = [];
    const sending = this.#deliver(entries).finally(() => this.#underWay.delete(sending));
    this.#underWay.add(sending);
  }

  /** Never rejects. */
  async #deliver(entries: readonly string[]): Promise<void> {
    const { max_retry_count: retries, retry_delay: delay } = this.#settings;
    let reason = "";
    for (let attempt = 0; ; attempt++) {
      try {
        if (await this.#ports.send(entries)) break;
        reason = "the collector refused them";
      } catch (error) {
        reason = toFault(error).message;
      }
      if (attempt >= retries || this.#isClosed) {
        this.#drop(entries.length, reason);
        break;
      }
      await this.#wait(Math.min(BACKOFF_MAX_MS, delay * 1000 * 2 ** attempt));
    }
    this.#pending -= entries.length;
    for (const entry of entries) this.#pendingBytes -= entry.length;
  }

  /** Ends early when the batcher is closed, for a last try. */
  #wait(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const wake = (): void => {
        clearTimeout(timer);
        this.#waiting.delete(wake);
        resolve();
      };
      const timer = setTimeout(wake, ms).unref();
      this.#waiting.add(wake);
    });
  }

  /** A line for each entry would be a flood of its own. */
  #drop(entries: number, reason: string): void {
    this.#dropped += entries;
    const now = this.#ports.clock.monotonic();
    if (now - this.#warnedMs < WARN_EVERY_MS) return;
    this.#warnedMs = now;
    this.#ports.warn("log entries were dropped", { entries: this.#dropped, reason });
    this.#dropped = 0;
  }
}
