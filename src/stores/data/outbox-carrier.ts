import { Fault } from "../../kernel/index.ts";
import type { Engine } from "./engine.ts";
import { type HomeMap, homeOf } from "./home-map.ts";
import type { Queryable, SystemData } from "./port.ts";
import { sql } from "./sql.ts";

/** Events carried in one transaction. */
const BATCH = 500;
/** How often all databases of tenants are looked at: what a process left behind that was killed before it could carry it. */
const SWEEP_MS = 60_000;
/** For how long it is remembered what was carried: longer than any process can take between reading an event and storing it. */
const REMEMBERED_MINUTES = 60;
const INBOX_DAYS = 14;

interface OutboxRow {
  readonly seq: number;
  readonly id: string;
  readonly topic: string;
  readonly partition_key: string;
  readonly envelope: string;
}

/**
 * Brings the events that tenants publish in databases of their own to the installation's outbox, from which they go out. They keep their
 * order, and each comes once, however many processes carry and wherever one is killed.
 */
export class OutboxCarrier {
  readonly #engine: Engine;
  readonly #homes: HomeMap;
  readonly #system: SystemData;
  readonly #ownSystem: (tenant: string) => Queryable;
  readonly #report: (fault: Fault) => void;
  /** Tenants whose outbox is being carried; true when there was more since. */
  readonly #carrying = new Map<string, { again: boolean; readonly done: Promise<void> }>();
  #sweep: NodeJS.Timeout | undefined;

  constructor(
    engine: Engine,
    homes: HomeMap,
    system: SystemData,
    ports: { readonly ownSystem: (tenant: string) => Queryable; readonly report: (fault: Fault) => void },
  ) {
    this.#engine = engine;
    this.#homes = homes;
    this.#system = system;
    this.#ownSystem = ports.ownSystem;
    this.#report = ports.report;
  }

  start(): void {
    if (this.#engine.kind === "pglite") return; // no tenant has a database of its own there
    this.#sweep = setInterval(() => void this.#sweepAll(), SWEEP_MS).unref();
    void this.#sweepAll();
  }

  async close(): Promise<void> {
    clearInterval(this.#sweep);
    await Promise.all([...this.#carrying.values()].map(({ done }) => done));
  }

  /** Begins to carry what the tenant has published. Faults are reported; the next look finds what was left. */
  wake(tenant: string): void {
    const under = this.#carrying.get(tenant);
    if (under) {
      under.again = true;
      return;
    }
    const state = { again: false, done: Promise.resolve() };
    const done = (async () => {
      try {
        do {
          state.again = false;
          await this.carry(tenant);
        } while (state.again);
      } catch (error) {
        if (homeOf(this.#homes, tenant).model === "database") this.#report(toFault(error)); // otherwise it moved away meanwhile
      } finally {
        this.#carrying.delete(tenant);
      }
    })();
    this.#carrying.set(tenant, Object.assign(state, { done }));
  }

  /** Carries all that the tenant's database has. Resolves when its outbox was empty. */
  async carry(tenant: string): Promise<void> {
    const own = this.#ownSystem(tenant);
    for (;;) {
      const { rows } = await own.query<OutboxRow>(sql`
        select seq, id, topic, partition_key, envelope from freehold.outbox where tenant_id = ${tenant} order by seq limit ${BATCH}`);
      if (rows.length === 0) return;
      await this.#store(tenant, rows);
      await own.query(sql`delete from freehold.outbox where tenant_id = ${tenant} and seq = any (${rows.map(({ seq }) => seq)}::bigint[])`);
    }
  }

  async #store(tenant: string, rows: readonly OutboxRow[]): Promise<void> {
    const column = (name: keyof OutboxRow): unknown[] => rows.map((row) => row[name]);
    await this.#system.query(sql`
      with fresh as (
        insert into freehold.carried_events (tenant_id, event_id) select ${tenant}, e.id from unnest(${column("id")}::uuid[]) e (id)
        on conflict do nothing returning event_id
      )
      insert into freehold.outbox (tenant_id, id, topic, partition_key, envelope)
      select ${tenant}, e.id, e.topic, e.partition_key, e.envelope
      from unnest(${column("id")}::uuid[], ${column("topic")}::text[], ${column("partition_key")}::text[], ${column("envelope")}::text[])
        with ordinality e (id, topic, partition_key, envelope, place) join fresh on fresh.event_id = e.id order by e.place`);
  }

  async #sweepAll(): Promise<void> {
    try {
      await this.#system.query(sql`
        delete from freehold.carried_events where at < now() - make_interval(mins => ${REMEMBERED_MINUTES}::integer)`);
      for (const tenant of this.#homes.inDatabases()) {
        this.wake(tenant);
        await this.#carrying.get(tenant)?.done; // one after the other: a look opens a connection
        await this.#ownSystem(tenant).query(sql`
          delete from freehold.inbox where handled_at < now() - make_interval(days => ${INBOX_DAYS}::integer)`);
      }
    } catch (error) {
      this.#report(toFault(error));
    }
  }
}

function toFault(error: unknown): Fault {
  return error instanceof Fault ? error : new Fault("internal", String(error), { cause: error });
}
