import type pg from "pg";
import type { Engine } from "../engine.ts";
import { SHARED_TABLES_SCHEMA } from "../home-builder.ts";
import { type HomeKeeper, setHomeSql } from "../home-keeper.ts";
import type { HomeModel } from "../home.ts";
import { ROWS_RIGHTS } from "../migrations/migration.ts";
import { endLog } from "./change-log.ts";
import { planMove, tablesIn } from "./move-plan.ts";

/** Rows removed by one statement, so that none holds locks for long. */
const REMOVE_AT_ONCE = 10_000;

interface Move {
  readonly source: HomeModel;
  readonly target: HomeModel;
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
    if (source !== "row") await keeper.demolishOn(control, tenant, source);
  }
  await control.query("delete from freehold.moves where tenant_id = $1 and target = $2", [tenant, target]);
}

async function findMove(control: pg.ClientBase, tenant: string): Promise<Move | undefined> {
  const { rows } = await control.query<Move>("select source, target from freehold.moves where tenant_id = $1", [tenant]);
  return rows[0];
}

/** Lets the old home take work again as before. */
async function reopen(engine: Engine, keeper: HomeKeeper, control: pg.ClientBase, tenant: string, source: HomeModel): Promise<void> {
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
  if (target === "database") return await keeper.demolish(tenant, target);
  if (target !== "row") return await keeper.demolishOn(control, tenant, target);
  const tables = (await tablesIn(control, keeper, tenant, "row")).map(({ relation }) => relation);
  // what a home in the same database shares with all others is in use: only that is removed of which the home has its own
  const used = source === "database" ? [] : (await tablesIn(control, keeper, tenant, source)).map(({ relation }) => relation);
  await removeRows(
    control,
    tenant,
    tables.filter((relation) => !used.includes(relation)),
  );
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
    // there is one session, and this is it
    const used = (await tablesIn(control, keeper, tenant, target)).map(({ relation }) => relation);
    const left = (await tablesIn(control, keeper, tenant, source)).map(({ relation }) => relation);
    return left.filter((relation) => !used.includes(relation) && isShared(relation));
  }
  const { pairs } = await planMove(engine, keeper, tenant, { source, target });
  return pairs.map(({ from }) => from.relation).filter(isShared);
}

/** Whether tables of this place hold the rows of all tenants: a schema of one tenant is removed as a whole. */
function isShared(relation: string): boolean {
  return relation.startsWith("freehold.") || relation.startsWith(`${SHARED_TABLES_SCHEMA}.`);
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
