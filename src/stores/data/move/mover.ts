import { setTimeout as pause } from "node:timers/promises";
import type pg from "pg";
import { Fault, isUuid } from "../../../kernel/index.ts";
import { type Engine, notAdministrator } from "../engine.ts";
import { dataModelOf, type HomeModel } from "../home.ts";
import { type HomeKeeper, setHomeSql, sharedVersion } from "../home-keeper.ts";
import type { HomeMap } from "../home-map.ts";
import { rolesOf } from "../roles.ts";
import type { OutboxCarrier } from "../outbox-carrier.ts";
import { busy, fenceKey, isLocked, type LoggedTable, startLog } from "./change-log.ts";
import { assertSame, type Checksum, checksums, copyAll, copyChanges } from "./copy-tables.ts";
import { moveEmbedded } from "./embedded-move.ts";
import { type MovePlan, planMove } from "./move-plan.ts";
import type { MoveOptions, MoveReport, MoveState, MoveStep } from "./move-report.ts";
import { removeOld, takeBack } from "./move-undo.ts";

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
  readonly #carrier: OutboxCarrier;

  constructor(engine: Engine, map: HomeMap, keeper: HomeKeeper, carrier: OutboxCarrier) {
    this.#engine = engine;
    this.#map = map;
    this.#keeper = keeper;
    this.#carrier = carrier;
  }

  /**
   * Moves the tenant. No write is lost and none is refused: those that come while the homes are switched wait for some milliseconds. When
   * anything fails, all of it is taken back and the tenant stays where it is. The old home is kept until `confirm`.
   */
  async move({ uuid }: { readonly uuid: string }, target: HomeModel, options: MoveOptions = {}): Promise<MoveReport> {
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

  #assertMovable(uuid: string, target: HomeModel): void {
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

  async #begin(control: pg.ClientBase, tenant: string, target: HomeModel): Promise<HomeModel> {
    await this.#takeBack(control, tenant);
    const source = await homeModel(control, tenant);
    if (source === target) throw conflict("The tenant is there already.");
    const { rowCount } = await control.query(
      `insert into freehold.moves (tenant_id, source, target, step) values ($1, $2, $3, 'begun') on conflict do nothing`,
      [tenant, source, target],
    );
    if (rowCount === 0) throw conflict("The home that the tenant has left is still kept: confirm that move first.");
    await this.#assertUpToDate(control, tenant, source);
    return source;
  }

  async #assertUpToDate(control: pg.ClientBase, tenant: string, source: HomeModel): Promise<void> {
    if (dataModelOf(source) === "row") return;
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
    const databaseOf = (model: HomeModel): string | undefined => this.#keeper.rowsOf(tenant, model).database;
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
    for (const [at, { from }] of plan.pairs.entries()) await startLog(source, from, { tenant, owner, place: at });
    // events are not copied but carried: what is published in a database that is being left must be carried from there first
    if (plan.source === "database") await startLog(source, OWN_OUTBOX, { tenant, owner, place: plan.pairs.length });
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
    if (plan.source === "database") await this.#carrier.carry(tenant); // little is left to the fence, and its connection is open
    for (let tries = 1; ; tries++) {
      const closedMs = performance.now();
      try {
        await source.query(`begin; set local lock_timeout = ${FENCE_WAIT_MS}; select pg_advisory_xact_lock(${fenceKey(tenant)})`);
        await options.onStep?.("fenced");
        await target.query("begin");
        const changes = await copyChanges(plan, source, target, true);
        await target.query("commit");
        await options.onStep?.("applied");
        if (plan.source === "database") await this.#carrier.carry(tenant);
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

  async #moveEmbedded(tenant: string, target: HomeModel, options: MoveOptions): Promise<MoveReport> {
    const source = await this.#alone(tenant, (control) => this.#begin(control, tenant, target));
    try {
      return await moveEmbedded(this.#engine, this.#keeper, { tenant, source, target }, options);
    } catch (error) {
      await this.#takeBackUnlessSwitched(tenant);
      throw error;
    } finally {
      await this.#map.refresh();
    }
  }

  async #reach(control: pg.ClientBase, tenant: string, step: MoveStep, { onStep }: MoveOptions): Promise<void> {
    await control.query("update freehold.moves set step = $2 where tenant_id = $1", [tenant, step]);
    await onStep?.(step);
  }
}

/** The outbox in a database of one tenant: carrying takes rows away from it, also while the fence is closed. */
const OWN_OUTBOX: LoggedTable = { name: "outbox", relation: "freehold.outbox", key: ["tenant_id", "seq"], insertsOnly: true };

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

async function homeModel(control: pg.ClientBase, tenant: string): Promise<HomeModel> {
  const { rows } = await control.query<{ model: HomeModel }>(
    "select case when own_search then 'row_search' else model end as model from freehold.homes where tenant_id = $1",
    [tenant],
  );
  return rows[0]?.model ?? "row";
}

async function isSwitched(control: pg.ClientBase, tenant: string): Promise<boolean> {
  const { rowCount } = await control.query("select from freehold.moves where tenant_id = $1 and switched_at is not null", [tenant]);
  return rowCount !== 0;
}

function conflict(detail: string): Fault {
  return new Fault("conflict", detail, { public: { detail } });
}
