import { type Fault, toFault } from "../../kernel/index.ts";
import { sql, type SystemData } from "../../stores/data/index.ts";

/** What changed: `tenant` and `installation` by id, `domain` by host, `key` by key id, `plan` by name, `gateway` as a whole. */
export interface RegistryChange {
  readonly kind: "tenant" | "domain" | "key" | "plan" | "gateway" | "installation";
  readonly key: string;
}

/** The changes of one poll, each once; or `everything`, when they are too many to tell or some are no longer known. */
export type RegistryChanges = readonly RegistryChange[] | "everything";

/** How often the feed looks when no notification came: what a lost notification costs at the most. */
const POLL_MS = 500;
/** More changes than this are told as `everything`: reading again what is in memory is then less work than reading the list. */
const CHANGES_MAX = 10_000;
const KEPT_MINUTES = 60;
const CLEAN_EVERY_MS = 600_000;
const CLEAN_BATCH = 20_000;

interface ChangeRow {
  readonly snapshot: string;
  readonly cleaned: string;
  readonly missed: boolean;
  readonly kind: RegistryChange["kind"] | null;
  readonly key: string | null;
}

/**
 * Tells of every change to the registry by any process, once, at once by notification and at the latest after one poll.
 * It remembers which transactions it has seen the end of, so that one that commits late is told when it does and not missed.
 */
export class ChangeFeed {
  readonly #system: SystemData;
  readonly #apply: (changes: RegistryChanges) => Promise<void>;
  readonly #report: (fault: Fault) => void;
  /** The database's snapshot at the last poll: what it shows has been told. */
  #seen = "";
  /** The newest transaction whose changes had been deleted by then. */
  #cleaned = "";
  #polling: Promise<void> | undefined;
  #next: Promise<void> | undefined;
  #failing = false;
  #timers: NodeJS.Timeout[] = [];
  #unlisten: (() => Promise<void>) | undefined;

  constructor(system: SystemData, apply: (changes: RegistryChanges) => Promise<void>, report: (fault: Fault) => void) {
    this.#system = system;
    this.#apply = apply;
    this.#report = report;
  }

  /** Begins from now. Must come before the first entry is read. */
  async start(): Promise<void> {
    const { rows } = await this.#system.query<Pick<ChangeRow, "snapshot" | "cleaned">>(
      sql`select pg_current_snapshot()::text as snapshot, cleaned::text as cleaned from freehold.registry_feed`,
    );
    this.#moveTo(rows[0]);
    const wake = (): void => this.#wake();
    this.#unlisten = await this.#system.listen("freehold_registry", wake, wake);
    const clean = (): void => void this.#clean().catch((error: unknown) => this.#report(toFault(error)));
    this.#timers = [setInterval(wake, POLL_MS).unref(), setInterval(clean, CLEAN_EVERY_MS).unref()];
    clean();
  }

  /** Resolves when everything committed before this call has been applied. */
  catchUp(): Promise<void> {
    // the poll under way may have read before the change, so another one follows it; all who ask meanwhile share that one
    if (this.#polling && !this.#next) {
      this.#next = this.#polling
        .catch(() => undefined) // it was told to those who wait for that poll
        .then(() => {
          this.#next = undefined;
          return this.#begin();
        });
    }
    return this.#next ?? this.#begin();
  }

  async close(): Promise<void> {
    for (const timer of this.#timers) clearInterval(timer);
    await this.#unlisten?.();
    await Promise.allSettled([this.#polling, this.#next]);
  }

  #begin(): Promise<void> {
    this.#polling = this.#poll().finally(() => {
      this.#polling = undefined;
    });
    return this.#polling;
  }

  #wake(): void {
    if (this.#next) return;
    this.catchUp().catch((error: unknown) => {
      // what is in memory goes on serving and the next poll tries again; one report per outage is enough
      if (!this.#failing) this.#report(toFault(error));
      this.#failing = true;
    });
  }

  async #poll(): Promise<void> {
    const rows = await this.#read();
    if (rows.length > CHANGES_MAX || rows[0]?.missed) await this.#apply("everything");
    else await this.#applyOnce(rows);
    this.#moveTo(rows[0]);
    this.#failing = false;
  }

  /** One entry can have changed several times since. */
  async #applyOnce(rows: readonly ChangeRow[]): Promise<void> {
    const changes = new Map<string, RegistryChange>();
    for (const { kind, key } of rows) if (kind !== null && key !== null) changes.set(`${kind} ${key}`, { kind, key });
    if (changes.size > 0) await this.#apply([...changes.values()]);
  }

  /** What the database shows now and did not at the last poll. A transaction under way at that time counts as not shown. */
  async #read(): Promise<readonly ChangeRow[]> {
    const { rows } = await this.#system.query<ChangeRow>(sql`
      select pg_current_snapshot()::text as snapshot, f.cleaned::text as cleaned,
        f.cleaned > ${this.#cleaned}::xid8 and f.cleaned >= pg_snapshot_xmin(${this.#seen}::pg_snapshot) as missed, c.kind, c.key
      from freehold.registry_feed f left join (
        select r.kind, r.key from freehold.registry_changes r
        where r.xid >= pg_snapshot_xmin(${this.#seen}::pg_snapshot) and not pg_visible_in_snapshot(r.xid, ${this.#seen}::pg_snapshot)
        limit ${CHANGES_MAX + 1}) c on true`);
    return rows;
  }

  #moveTo(row: Pick<ChangeRow, "snapshot" | "cleaned"> | undefined): void {
    if (!row) throw new Error("the registry's feed has no row"); // the migration puts it there
    this.#seen = row.snapshot;
    this.#cleaned = row.cleaned;
  }

  /** Deletes what every process that is not cut off has seen, and notes how far, so that one that was cut off can tell. */
  async #clean(): Promise<void> {
    let count: number;
    do {
      const { rows } = await this.#system.query<{ count: number }>(sql`
        with gone as (
          delete from freehold.registry_changes where ctid = any (array(
            select ctid from freehold.registry_changes where at < now() - make_interval(mins => ${KEPT_MINUTES}) limit ${CLEAN_BATCH}))
          returning xid
        ), noted as (
          update freehold.registry_feed set cleaned = greatest(cleaned, (select max(xid) from gone)) where exists (select from gone)
        )
        select count(*)::int as count from gone`);
      count = rows[0]?.count ?? 0;
    } while (count === CLEAN_BATCH);
  }
}
