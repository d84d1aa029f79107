import { setTimeout as pause } from "node:timers/promises";
import type pg from "pg";
import { type DataModel, Fault, isUuid } from "../../../kernel/index.ts";
import { type Engine, notAdministrator } from "../engine.ts";
import { type HomeKeeper, setHomeSql, sharedVersion } from "../home-keeper.ts";
import type { HomeMap } from "../home-map.ts";
import { rolesOf } from "../roles.ts";
import { busy, fenceKey, isLocked, startLog } from "./change-log.ts";
import { assertSame, type Checksum, checksums, copyAll, copyChanges } from "./copy-tables.ts";
import { type MovePlan, planMove } from "./move-plan.ts";
import { removeOld, takeBack } from "./move-undo.ts";

/** What a move has done so far. Up to `fenced` it can be taken back at any time; from `switched` on the new home is the tenant's. */
export const MOVE_STEPS = [
  "begun",
  "built",
  "logging",
  "copied",
  "caught-up",
  "verified",
  "fenced",
  "applied",
  "closing",
  "refused",
  "switched",
] as const;
export type MoveStep = (typeof MOVE_STEPS)[number];

/** What a move may be told. */
export interface MoveOptions {
  /** Called after each step has been done. */
  readonly onStep?: (step: MoveStep) => Promise<void> | void;
}

/** What a move did. */
export interface MoveReport {
  readonly source: DataModel;
  readonly target: DataModel;
  /** Rows and checksum of each table, which were the same in both homes. */
  readonly tables: readonly ({ readonly table: string } & Checksum)[];
  /** Changes that were made while the rows were being copied, and that came after them. */
  readonly changes: number;
  /** For how long writes of the tenant waited. */
  readonly fenceMs: number;
  readonly elapsedMs: number;
}

/** A move that is under way, or whose old home is still kept. */
export interface MoveState {
  readonly tenant: string;
  readonly source: DataModel;
  readonly target: DataModel;
  readonly step: string;
  readonly startedAt: Date;
  readonly switchedAt: Date | null;
}

/** One move of a tenant at a time, over all processes. */
const MOVE_LOCK_SPACE = 7_160_242;
/** Writers of the tenant wait no longer than this for those who write at the moment: then the fence opens, and is tried again. */
const FENCE_WAIT_MS = 30;
const FENCE_TRIES_MAX = 400;
const FENCE_PAUSE_MS = 40;
/** So few changes are left to the fence. */
const TAIL_ROWS_MAX = 200;
const ROUNDS_MAX = 50;

/** The connections of a move: to the installation's database, and to the databases of both homes. */
interface Connections {
  readonly control: pg.ClientBase;
  readonly source: pg.ClientBase;
  readonly target: pg.ClientBase;
}

/** Moves a tenant between rows, schema and database while it is served. */
export class Mover {
  readonly #engine: Engine;
  readonly #map: HomeMap;
  readonly #keeper: HomeKeeper;

  constructor(engine: Engine, map: HomeMap, keeper: HomeKeeper) {
    this.#engine = engine;
    this.#map = map;
    this.#keeper = keeper;
  }

  /**
   * Moves the tenant. No write is lost and none is refused: those that come while the homes are switched wait for some milliseconds. When
   * anything fails, all of it is taken back and the tenant stays where it is. The old home is kept until `confirm`.
   */
  async move({ uuid }: { readonly uuid: string }, target: DataModel, options: MoveOptions = {}): Promise<MoveReport> {
    this.#assertMovable(uuid, target);
    if (this.#engine.kind === "pglite") return await this.#moveEmbedded(uuid, target, options);
    return await this.#alone(uuid, async (control) => {
      const source = await this.#begin(control, uuid, target);
      try {
        return await this.#run(control, uuid, { source, target }, options);
      } catch (error) {
        await this.#takeBack(control, uuid);
        throw error;
      } finally {
        await this.#map.refresh();
      }
    });
  }

  /** Deletes the home that the tenant has left. Nothing happens where there is none. */
  async confirm({ uuid }: { readonly uuid: string }): Promise<void> {
    await this.#alone(uuid, async (control) => {
      await this.#takeBack(control, uuid);
      await removeOld(this.#engine, this.#keeper, control, uuid);
    });
    await this.#map.refresh();
  }

  /** Moves that are under way or not confirmed. */
  async moves(): Promise<readonly MoveState[]> {
    return await this.#engine.administer(async (client) => {
      const { rows } = await client.query<MoveState>(
        `select tenant_id as tenant, source, target, step, started_at as "startedAt", switched_at as "switchedAt" from freehold.moves order by started_at`,
      );
      return rows;
    });
  }

  /** Takes back the moves of processes that are gone. Moves that are under way are left alone. */
  async recover(): Promise<void> {
    for (const { tenant } of (await this.moves()).filter(({ switchedAt }) => switchedAt === null)) {
      await this.#takeBackUnlessSwitched(tenant).catch((error: unknown) => {
        if (!(error instanceof Fault) || error.code !== "in_progress") throw error;
      });
    }
    await this.#map.refresh();
  }

  async #takeBackUnlessSwitched(tenant: string): Promise<void> {
    await this.#alone(tenant, (control) => this.#takeBack(control, tenant));
  }

  /** What has switched stays: the old home is removed by `confirm` alone. */
  async #takeBack(control: pg.ClientBase, tenant: string): Promise<void> {
    if (!(await isSwitched(control, tenant))) await takeBack(this.#engine, this.#keeper, control, tenant);
  }

  #assertMovable(uuid: string, target: DataModel): void {
    if (!isUuid(uuid)) throw new RangeError("not a tenant's internal id");
    this.#keeper.assertPossible(target);
    if (this.#engine.installation.administrator === "superuser") return;
    if (this.#engine.installation.administrator === "none") throw notAdministrator();
    const detail = "A tenant is moved by a superuser of the database: row security and triggers must not come in the way of a copy.";
    throw new Fault("forbidden", detail, { public: { detail } });
  }

  /** Runs `work` while no other process moves this tenant or changes the application's tables. */
  async #alone<T>(tenant: string, work: (control: pg.ClientBase) => Promise<T>): Promise<T> {
    return await this.#engine.administer(async (control) => {
      if (this.#engine.kind === "pglite") return await work(control);
      const { rows } = await control.query<{ locked: boolean }>(
        `select pg_catalog.pg_try_advisory_lock(${MOVE_LOCK_SPACE}, pg_catalog.hashtext($1)) as locked`,
        [tenant],
      );
      if (rows[0]?.locked !== true) {
        const detail = "The tenant is being moved by another process.";
        throw new Fault("in_progress", detail, { public: { detail } });
      }
      return await work(control);
    });
  }

  async #begin(control: pg.ClientBase, tenant: string, target: DataModel): Promise<DataModel> {
    await this.#takeBack(control, tenant);
    const source = await homeModel(control, tenant);
    if (source === target) throw conflict(`The tenant is in a ${target} home already.`);
    const { rowCount } = await control.query(
      `insert into freehold.moves (tenant_id, source, target, step) values ($1, $2, $3, 'begun') on conflict do nothing`,
      [tenant, source, target],
    );
    if (rowCount === 0) throw conflict("The home that the tenant has left is still kept: confirm that move first.");
    await this.#assertUpToDate(control, tenant, source);
    return source;
  }

  async #assertUpToDate(control: pg.ClientBase, tenant: string, source: DataModel): Promise<void> {
    if (source === "row") return;
    const { rows } = await control.query<{ version: number }>("select tables_version as version from freehold.homes where tenant_id = $1", [
      tenant,
    ]);
    if (rows[0]?.version !== (await sharedVersion(control)))
      throw conflict("The tenant's tables are behind: run `freehold migrate up` first.");
  }

  async #run(
    control: pg.ClientBase,
    tenant: string,
    { source, target }: Pick<MovePlan, "source" | "target">,
    options: MoveOptions,
  ): Promise<MoveReport> {
    const startedMs = performance.now();
    await options.onStep?.("begun");
    await this.#keeper.build(tenant, target);
    const plan = await planMove(this.#engine, this.#keeper, tenant, { source, target });
    await this.#reach(control, tenant, "built", options);
    const databaseOf = (model: DataModel): string | undefined => this.#keeper.rowsOf(tenant, model).database;
    return await this.#engine.administer(
      (from) =>
        this.#engine.administer(async (to) => {
          const connections: Connections = { control, source: from, target: to };
          const copied = await this.#copy(plan, connections, options);
          const fenced = await this.#switch(plan, connections, options);
          const changes = copied.changes + fenced.changes;
          const tables = plan.pairs.map(({ from: { name } }, at) => ({ table: name, rows: 0, sum: "", ...copied.sums[at] }));
          return { source, target, tables, changes, fenceMs: fenced.fenceMs, elapsedMs: performance.now() - startedMs };
        }, databaseOf(target)),
      databaseOf(source),
    );
  }

  /** Everything up to the fence: the rows, and then again and again what has changed meanwhile, until little is left. */
  async #copy(plan: MovePlan, { control, source, target }: Connections, options: MoveOptions): Promise<Copied> {
    const { tenant } = plan;
    const together = plan.source !== "database" && plan.target !== "database";
    // the copy is of rows that keep their references; triggers and cascades must not add to it
    for (const client of [source, target]) await client.query("set session_replication_role = replica");
    const owner = plan.source === "database" ? rolesOf(this.#keeper.names(tenant).database).owner : this.#engine.installation.roles.owner;
    for (const [at, { from }] of plan.pairs.entries()) await startLog(source, from, tenant, owner, at);
    await this.#reach(control, tenant, "logging", options);
    await inSnapshot(source, target, async () => {
      await source.query("delete from freehold_private.move_log where tenant_id = $1", [tenant]); // what this snapshot shows is copied with it
      await copyAll(plan, source, target, together);
    });
    for (const { to } of plan.pairs) await target.query(`analyze ${to.relation}`);
    await this.#reach(control, tenant, "copied", options);
    let changes = await this.#catchUp(plan, source, target);
    await this.#reach(control, tenant, "caught-up", options);
    const sums = await inSnapshot(source, target, async () => {
      changes += await copyChanges(plan, source, target, false);
      const [from, to] = [await checksums(plan, source, "from"), await checksums(plan, target, "to")];
      assertSame(plan, from, to);
      return from;
    });
    await this.#reach(control, tenant, "verified", options);
    changes += await this.#catchUp(plan, source, target);
    return { changes, sums };
  }

  async #catchUp(plan: MovePlan, source: pg.ClientBase, target: pg.ClientBase): Promise<number> {
    let changes = 0;
    for (let round = 1; round <= ROUNDS_MAX; round++) {
      const rows = await inSnapshot(source, target, () => copyChanges(plan, source, target, false));
      changes += rows;
      if (rows <= TAIL_ROWS_MAX) return changes;
    }
    throw busy(new Error("the tenant writes faster than its rows are copied"));
  }

  /** Closes the fence, brings over what is left, proves it, and makes the new home the tenant's. */
  async #switch(
    plan: MovePlan,
    connections: Connections,
    options: MoveOptions,
  ): Promise<{ readonly changes: number; readonly fenceMs: number }> {
    const { source, target } = connections;
    const { tenant } = plan;
    const version = await sharedVersion(connections.control);
    for (let tries = 1; ; tries++) {
      const closedMs = performance.now();
      try {
        await source.query(`begin; set local lock_timeout = ${FENCE_WAIT_MS}; select pg_advisory_xact_lock(${fenceKey(tenant)})`);
        await options.onStep?.("fenced");
        await target.query("begin");
        const changes = await copyChanges(plan, source, target, true);
        await target.query("commit");
        await options.onStep?.("applied");
        await this.#changeHome(plan, connections, version, options);
        const fenceMs = performance.now() - closedMs;
        await options.onStep?.("switched");
        return { changes, fenceMs };
      } catch (error) {
        await target.query("rollback");
        await source.query("rollback"); // the fence is open
        if (!isLocked(error)) throw error;
        if (tries === FENCE_TRIES_MAX) throw busy(error);
        await pause(FENCE_PAUSE_MS);
      }
    }
  }

  /**
   * In the installation's database the old home's end and the new home's beginning are one commit. A database of the tenant's own is first
   * closed: whoever comes meanwhile waits, since nothing says yet where to go.
   */
  async #changeHome(
    { tenant, source: model, target }: MovePlan,
    { control, source }: Connections,
    version: number,
    options: MoveOptions,
  ): Promise<void> {
    const names = this.#keeper.names(tenant);
    const open = `${setHomeSql(tenant, target, names)}; ${this.#keeper.noteHomeSql(tenant, version)};
      update freehold.moves set step = 'switched', switched_at = now() where tenant_id = '${tenant}'`;
    const refuse = `insert into freehold_private.fences (tenant_id, closed) values ('${tenant}', true) on conflict (tenant_id) do update set closed = true`;
    if (model !== "database") {
      const revoke = model === "schema" ? `revoke all on all tables in schema ${names.schema} from ${names.login};` : "";
      await source.query(`${refuse}; ${revoke} ${open}; commit`);
      return;
    }
    await control.query(`begin; ${setHomeSql(tenant, model, names, { closing: true })}; commit`);
    await this.#reach(control, tenant, "closing", options);
    // in the tenant's own database its home is elsewhere from now on: that is what entering looks at
    await source.query(`${refuse};
      insert into freehold.homes (tenant_id, model, epoch) values ('${tenant}', 'schema', nextval('freehold.home_epoch'))
        on conflict (tenant_id) do update set epoch = excluded.epoch; commit`);
    await options.onStep?.("refused");
    await control.query(`begin; ${open}; commit`);
  }

  async #reach(control: pg.ClientBase, tenant: string, step: MoveStep, { onStep }: MoveOptions): Promise<void> {
    await control.query("update freehold.moves set step = $2 where tenant_id = $1", [tenant, step]);
    await onStep?.(step);
  }

  /** Embedded, everything goes through one session anyway: one transaction, for which everybody waits. */
  async #moveEmbedded(tenant: string, target: DataModel, { onStep }: MoveOptions): Promise<MoveReport> {
    const startedMs = performance.now();
    const source = await this.#alone(tenant, (control) => this.#begin(control, tenant, target));
    try {
      await onStep?.("begun");
      await this.#keeper.build(tenant, target);
      const plan = await planMove(this.#engine, this.#keeper, tenant, { source, target });
      await onStep?.("built");
      return await this.#engine.administer(async (client) => {
        const closedMs = performance.now();
        await client.query("begin; set local session_replication_role = replica");
        try {
          await copyAll(plan, client, client, true);
          await onStep?.("copied");
          const [from, to] = [await checksums(plan, client, "from"), await checksums(plan, client, "to")];
          assertSame(plan, from, to);
          await onStep?.("verified");
          await client.query(`${setHomeSql(tenant, target, this.#keeper.names(tenant))};
            ${this.#keeper.noteHomeSql(tenant, await sharedVersion(client))};
            update freehold.moves set step = 'switched', switched_at = now() where tenant_id = '${tenant}'; commit`);
          await onStep?.("switched");
          const now = performance.now();
          const tables = plan.pairs.map((pair, at) => ({ table: pair.from.name, rows: 0, sum: "", ...from[at] }));
          return { source, target, tables, changes: 0, fenceMs: now - closedMs, elapsedMs: now - startedMs };
        } catch (error) {
          await client.query("rollback");
          throw error;
        }
      });
    } catch (error) {
      await this.#takeBackUnlessSwitched(tenant);
      throw error;
    } finally {
      await this.#map.refresh();
    }
  }
}

interface Copied {
  readonly changes: number;
  readonly sums: readonly Checksum[];
}

/** Runs `work` on one snapshot of the source, with what it writes on both sides stored together as far as that goes: the target first. */
async function inSnapshot<T>(source: pg.ClientBase, target: pg.ClientBase, work: () => Promise<T>): Promise<T> {
  try {
    await source.query("begin isolation level repeatable read");
    await target.query("begin");
    const result = await work();
    await target.query("commit");
    await source.query("commit"); // what was noted is forgotten only now: copied twice is as good as once
    return result;
  } catch (error) {
    await target.query("rollback");
    await source.query("rollback");
    throw error;
  }
}

async function homeModel(control: pg.ClientBase, tenant: string): Promise<DataModel> {
  const { rows } = await control.query<{ model: DataModel }>("select model from freehold.homes where tenant_id = $1", [tenant]);
  return rows[0]?.model ?? "row";
}

async function isSwitched(control: pg.ClientBase, tenant: string): Promise<boolean> {
  const { rowCount } = await control.query("select from freehold.moves where tenant_id = $1 and switched_at is not null", [tenant]);
  return rowCount !== 0;
}

function conflict(detail: string): Fault {
  return new Fault("conflict", detail, { public: { detail } });
}
