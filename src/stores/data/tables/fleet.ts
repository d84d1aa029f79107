import type pg from "pg";
import { type DataModel, Fault } from "../../../kernel/index.ts";
import type { Engine } from "../engine.ts";
import { type HomeKeeper, sharedVersion } from "../home-keeper.ts";
import type { Queryable } from "../port.ts";
import { sql } from "../sql.ts";
import { applyStep } from "./apply-step.ts";
import type { NumberedStep, TableSet } from "./define-tables.ts";
import { findDrift, type TableDrift } from "./drift.ts";

/** How far the application's tables are, over all homes. */
export interface FleetStatus {
  /** Steps that are declared, and steps that the shared rows have. */
  readonly declared: number;
  readonly shared: number;
  /** Homes of tenants with a schema or a database of their own, and how many of them have fewer steps than the shared rows. */
  readonly homes: number;
  readonly behind: number;
  /** Steps that take something away wait for `contract`. */
  readonly contracts: readonly string[];
  /** Homes at a step that is not the declared one. */
  readonly foreign: number;
}

/** What `up` did. */
export interface FleetRun {
  /** Those that any home or the shared rows got. */
  readonly steps: readonly string[];
  readonly homes: number;
  readonly elapsedMs: number;
}

/** How `up` goes about it. */
export interface FleetOptions {
  /** The tenant, by internal id, whose home is changed first and alone. Without it, the one that has waited for longest. */
  readonly canary?: string;
  /** Whether steps are applied that take away what older programs use. */
  readonly contract?: boolean;
  /** Homes changed between two looks at whether all is well. */
  readonly waveSize?: number;
  /** Told of each home that has a step. */
  readonly onHome?: (tenant: string | undefined, step: string) => Promise<void> | void;
}

/** One at a time over all processes. */
const FLEET_LOCK = 7_160_242_021;
const WAVE = 100;
const NOBODY = "00000000-0000-0000-0000-000000000000";

interface Behind {
  readonly tenant: string;
  readonly model: DataModel;
  readonly version: number;
}

/** The application's tables over all homes: what is there, and bringing it to what is declared. */
export class Fleet {
  readonly #engine: Engine;
  readonly #system: Queryable;
  readonly #keeper: HomeKeeper;
  readonly #tables: TableSet;

  constructor(engine: Engine, system: Queryable, keeper: HomeKeeper, tables: TableSet) {
    this.#engine = engine;
    this.#system = system;
    this.#keeper = keeper;
    this.#tables = tables;
  }

  /** One query over the ledger, however many homes there are. */
  async status(): Promise<FleetStatus> {
    const { steps } = this.#tables;
    const digests = steps.map(({ version }) => this.#tables.digestAt(version));
    const { rows } = await this.#system.query<{ shared: number; homes: number; behind: number; foreign: number }>(sql`
      with shared as (select coalesce(max(version), 0) as version from freehold.table_steps)
      select s.version as shared, count(h.tenant_id) as homes, count(h.tenant_id) filter (where h.tables_version < s.version) as behind,
        count(h.tenant_id) filter (where h.tables_version > 0 and h.tables_digest is distinct from (${digests}::text[])[h.tables_version])
          + (select count(*) from freehold.table_steps t where t.digest is distinct from (${steps.map(({ digest }) => digest)}::text[])[t.version]) as foreign
      from shared s left join freehold.homes h on h.model <> 'row' group by s.version`);
    const found = rows[0] ?? { shared: 0, homes: 0, behind: 0, foreign: 0 };
    const contracts = steps.filter(({ version, contracts: takes }) => version > found.shared && takes).map(({ name }) => name);
    return { declared: steps.length, ...found, contracts };
  }

  /**
   * Brings every home to the declared steps, each home with each step in one transaction: first the canary's, then the shared rows, then the
   * others in waves. The first that fails stops it; what is done stays, and the next call goes on where this one ended, also after a kill.
   */
  async up(options: FleetOptions = {}): Promise<FleetRun> {
    const startedMs = performance.now();
    const { foreign } = await this.status();
    if (foreign > 0) throw unknownSteps(foreign);
    return await this.#engine.administer(async (client) => {
      await this.#lock(client);
      const done = new Set<string>();
      let homes = 0;
      for (const step of this.#applicable(await sharedVersion(client), options.contract ?? false)) {
        homes += await this.#applyEverywhere(client, step, options);
        done.add(step.name);
      }
      homes += await this.#catchUp(client, done, options);
      return { steps: [...done], homes, elapsedMs: performance.now() - startedMs };
    });
  }

  /** Differences between the tables of homes and those of the shared rows. */
  async drift(): Promise<readonly TableDrift[]> {
    return await findDrift(this.#engine, this.#keeper);
  }

  async #lock(client: pg.ClientBase): Promise<void> {
    if (this.#engine.kind === "pglite") return; // one process, one session
    const { rows } = await client.query<{ locked: boolean }>(`select pg_catalog.pg_try_advisory_lock(${FLEET_LOCK}) as locked`);
    if (rows[0]?.locked === true) return;
    const detail = "Another process is changing the tables at the moment.";
    throw new Fault("in_progress", detail, { public: { detail } });
  }

  /** The steps that the shared rows do not have, up to one that has to wait. */
  #applicable(shared: number, contract: boolean): readonly NumberedStep[] {
    const pending = this.#tables.steps.slice(shared);
    const stop = contract ? -1 : pending.findIndex(({ contracts }) => contracts);
    return stop < 0 ? pending : pending.slice(0, stop);
  }

  async #applyEverywhere(client: pg.ClientBase, step: NumberedStep, options: FleetOptions): Promise<number> {
    const canary = await this.#canary(client, step, options.canary);
    let homes = 0;
    if (canary) {
      await this.#apply(client, canary, step, options);
      homes++;
    }
    await applyStep(client, step, this.#keeper.placeOf(NOBODY, "row"));
    await options.onHome?.(undefined, step.name);
    return homes + (await this.#waves(client, step, options));
  }

  /** Homes that a run before this one did not get to. */
  async #catchUp(client: pg.ClientBase, done: Set<string>, options: FleetOptions): Promise<number> {
    let homes = 0;
    for (const step of this.#tables.steps.slice(0, await sharedVersion(client))) {
      const caughtUp = await this.#waves(client, step, options);
      if (caughtUp > 0) done.add(step.name);
      homes += caughtUp;
    }
    return homes;
  }

  async #waves(client: pg.ClientBase, step: NumberedStep, options: FleetOptions): Promise<number> {
    let homes = 0;
    for (;;) {
      const { rows: wave } = await client.query<Behind>(
        `select tenant_id as tenant, model, tables_version as version from freehold.homes
         where model <> 'row' and tables_version = $1 order by epoch limit $2`,
        [step.version - 1, options.waveSize ?? WAVE],
      );
      if (wave.length === 0) return homes;
      for (const home of wave) await this.#apply(client, home, step, options);
      homes += wave.length;
    }
  }

  async #canary(client: pg.ClientBase, step: NumberedStep, wanted: string | undefined): Promise<Behind | undefined> {
    const { rows } = await client.query<Behind>(
      `select tenant_id as tenant, model, tables_version as version from freehold.homes
       where model <> 'row' and tables_version = $1 and ($2::uuid is null or tenant_id = $2) order by epoch limit 1`,
      [step.version - 1, wanted ?? null],
    );
    return rows[0];
  }

  async #apply(client: pg.ClientBase, { tenant, model }: Behind, step: NumberedStep, options: FleetOptions): Promise<void> {
    const place = this.#keeper.placeOf(tenant, model);
    if (model === "database") {
      const { database } = this.#keeper.names(tenant);
      await this.#engine.administer(async (own) => {
        // killed between the two databases: the step is there and only its note is missing
        if ((await sharedVersion(own)) < step.version) await applyStep(own, step, place);
      }, database);
      await client.query(this.#keeper.noteHomeSql(tenant, step.version));
    } else {
      await applyStep(client, step, place);
    }
    await options.onHome?.(tenant, step.name);
  }
}

function unknownSteps(count: number): Fault {
  const detail = `${count} step(s) in the database are not the declared ones: a step that was applied is never changed. Run \`freehold migrate drift\`.`;
  return new Fault("conflict", detail, { public: { detail } });
}
