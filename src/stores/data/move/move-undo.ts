import type pg from "pg";
import type { DataModel } from "../../../kernel/index.ts";
import type { Engine } from "../engine.ts";
import { type HomeKeeper, setHomeSql } from "../home-keeper.ts";
import { ROWS_RIGHTS } from "../migrations/migration.ts";
import { readTables } from "../table-list.ts";
import { endLog } from "./change-log.ts";
import { planMove } from "./move-plan.ts";

/** Rows removed by one statement, so that none holds locks for long. */
const REMOVE_AT_ONCE = 10_000;

interface Move {
  readonly source: DataModel;
  readonly target: DataModel;
}

/** Takes back a move that has not switched, from any step it may have reached. Nothing happens where there is none. */
export async function takeBack(engine: Engine, keeper: HomeKeeper, control: pg.ClientBase, tenant: string): Promise<void> {
  const move = await findMove(control, tenant);
  if (!move) return;
  const embedded = engine.kind === "pglite";
  if (!embedded) await reopen(engine, keeper, control, tenant, move.source);
  await removeTarget(keeper, control, tenant, move);
  await control.query("delete from freehold.moves where tenant_id = $1", [tenant]);
}

/** Removes the home that the tenant has left, and what the move needed there. Safe to run again after a kill. */
export async function removeOld(engine: Engine, keeper: HomeKeeper, control: pg.ClientBase, tenant: string): Promise<void> {
  const move = await findMove(control, tenant);
  if (!move) return;
  const { source, target } = move;
  if (source === "database") {
    await keeper.demolish(tenant, source);
  } else {
    const shared = await sharedRelations(engine, keeper, control, tenant, move);
    await endLog(control, tenant);
    await removeRows(control, tenant, shared);
    if (source === "schema") await keeper.demolishSchema(control, tenant);
  }
  await control.query("delete from freehold.moves where tenant_id = $1 and target = $2", [tenant, target]);
}

async function findMove(control: pg.ClientBase, tenant: string): Promise<Move | undefined> {
  const { rows } = await control.query<Move>("select source, target from freehold.moves where tenant_id = $1", [tenant]);
  return rows[0];
}

/** Lets the old home take work again as before. */
async function reopen(engine: Engine, keeper: HomeKeeper, control: pg.ClientBase, tenant: string, source: DataModel): Promise<void> {
  const names = keeper.names(tenant);
  if (source === "schema") await control.query(`grant ${ROWS_RIGHTS} on all tables in schema ${names.schema} to ${names.login}`);
  const { database } = keeper.rowsOf(tenant, source);
  await engine.administer(async (client) => {
    await endLog(client, tenant);
    if (database !== undefined) {
      await client.query("begin; delete from freehold.homes; alter sequence freehold.home_epoch restart; commit");
    }
  }, database);
  const { rowCount } = await control.query("select from freehold.homes where tenant_id = $1 and closing", [tenant]);
  if (rowCount !== 0) await control.query(`begin; ${setHomeSql(tenant, source, names)}; commit`);
}

async function removeTarget(keeper: HomeKeeper, control: pg.ClientBase, tenant: string, { source, target }: Move): Promise<void> {
  if (target === "schema") return await keeper.demolishSchema(control, tenant);
  if (target === "database") return await keeper.demolish(tenant, target);
  const tables = await readTables(control, keeper.rowsOf(tenant, "row").tables);
  // of a schema's tenant the platform's tables are the ones in use: only those are removed of which the schema has its own
  const own =
    source === "schema" ? new Set((await readTables(control, keeper.rowsOf(tenant, "schema").tables)).map(({ name }) => name)) : undefined;
  const copied = tables.filter(({ name }) => own?.has(name) ?? true).map(({ relation }) => relation);
  await removeRows(control, tenant, copied);
}

/** The shared tables whose rows of the tenant are in the new home now. */
async function sharedRelations(
  engine: Engine,
  keeper: HomeKeeper,
  control: pg.ClientBase,
  tenant: string,
  { source, target }: Move,
): Promise<readonly string[]> {
  if (engine.kind === "pglite") {
    const names = new Set((await readTables(control, keeper.rowsOf(tenant, "schema").tables)).map(({ name }) => name));
    const shared = await readTables(control, keeper.rowsOf(tenant, "row").tables);
    return source === "row" ? shared.filter(({ name }) => names.has(name)).map(({ relation }) => relation) : [];
  }
  const own = keeper.names(tenant).schema;
  const { pairs } = await planMove(engine, keeper, tenant, { source, target });
  return pairs.map(({ from }) => from.relation).filter((relation) => !relation.startsWith(`${own}.`));
}

async function removeRows(control: pg.ClientBase, tenant: string, relations: readonly string[]): Promise<void> {
  await control.query("set session_replication_role = replica"); // each table's rows go by themselves, without cascades
  for (const relation of relations) {
    let removed: number | null;
    do {
      ({ rowCount: removed } = await control.query(
        `delete from ${relation} where ctid = any (array(select ctid from ${relation} where tenant_id = $1 limit ${REMOVE_AT_ONCE}))`,
        [tenant],
      ));
    } while (removed === REMOVE_AT_ONCE);
  }
  await control.query("reset session_replication_role");
}
