import type { Fault } from "../../kernel/index.ts";
import { toFault } from "../../kernel/index.ts";
import { sql, type SystemData } from "../../stores/data/index.ts";

/** What changed: `tenant` by id, `domain` by host, `key` by key id, `plan` by name. */
export interface RegistryChange {
  readonly kind: "tenant" | "domain" | "key" | "plan";
  readonly key: string;
}

/** How often the feed looks when no notification came: what a lost notification costs at the most. */
export const POLL_MS = 500;
const KEPT_MINUTES = 60;
const CLEAN_EVERY_POLLS = 1_200;

/**
 * Tells of every change to the registry by any process, at once by notification and at the latest after one poll.
 * The cursor is a transaction horizon, so a change that commits late is not missed; it may be told more than once.
 */
export class ChangeFeed {
  readonly #system: SystemData;
  readonly #apply: (changes: readonly RegistryChange[]) => Promise<void>;
  readonly #report: (fault: Fault) => void;
  #cursor = "0";
  #polling: Promise<void> | undefined;
  #again = false;
  #timer: NodeJS.Timeout | undefined;
  #unlisten: (() => Promise<void>) | undefined;
  #polls = 0;

  constructor(system: SystemData, apply: (changes: readonly RegistryChange[]) => Promise<void>, report: (fault: Fault) => void) {
    this.#system = system;
    this.#apply = apply;
    this.#report = report;
  }

  /** Begins from now. Must come before the first entry is read. */
  async start(): Promise<void> {
    const { rows } = await this.#system.query<{ horizon: string }>(sql`select pg_snapshot_xmin(pg_current_snapshot())::text as horizon`);
    this.#cursor = rows[0]?.horizon ?? "0";
    const wake = (): void => void this.#pollQuietly();
    this.#unlisten = await this.#system.listen("freehold_registry", wake, wake);
    this.#timer = setInterval(wake, POLL_MS).unref();
  }

  /** Resolves when everything committed before this call has been applied. */
  async catchUp(): Promise<void> {
    if (this.#polling) {
      this.#again = true; // the poll under way may have read before the change
      await this.#polling;
      return;
    }
    this.#polling = this.#poll().finally(() => {
      this.#polling = undefined;
    });
    await this.#polling;
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    await this.#unlisten?.();
    await this.#polling?.catch(() => undefined);
  }

  async #pollQuietly(): Promise<void> {
    try {
      await this.catchUp();
    } catch (error) {
      this.#report(toFault(error)); // the snapshots in memory go on serving; the next poll tries again
    }
  }

  async #poll(): Promise<void> {
    do {
      this.#again = false;
      const { rows } = await this.#system.query<RegistryChange & { horizon: string }>(sql`
        select h.horizon, c.kind, c.key
        from (select pg_snapshot_xmin(pg_current_snapshot())::text as horizon) h
        left join freehold.registry_changes c on c.xid >= ${this.#cursor}::xid8`);
      const changes = rows.filter((row) => row.key !== null).map(({ kind, key }) => ({ kind, key }));
      if (changes.length > 0) await this.#apply(changes);
      this.#cursor = rows[0]?.horizon ?? this.#cursor;
      await this.#clean();
    } while (this.#again);
  }

  async #clean(): Promise<void> {
    if (this.#polls++ % CLEAN_EVERY_POLLS !== 0) return;
    await this.#system.query(sql`delete from freehold.registry_changes where at < now() - make_interval(mins => ${KEPT_MINUTES})`);
  }
}
