import type pg from "pg";
import { Fault } from "../../../kernel/index.ts";
import type { Engine } from "../engine.ts";
import type { HomeKeeper, RowsPlace } from "../home-keeper.ts";
import type { HomeModel } from "../home.ts";
import { readTables, type TenantTable } from "../table-list.ts";

/** Which files a tenant has is written down with the platform's own tables, wherever its home is: their contents are elsewhere anyway. */
const STAYING: ReadonlySet<string> = new Set(["files", "file_use", "file_leftovers"]);

/** One table on its way. */
export interface TablePair {
  readonly from: TenantTable;
  readonly to: TenantTable;
}

/** What is moved, from where to where. */
export interface MovePlan {
  readonly tenant: string;
  readonly source: HomeModel;
  readonly target: HomeModel;
  /** Those that are referred to first. */
  readonly pairs: readonly TablePair[];
}

/** A connection of the administrator's to a home's database. */
export interface HomeConnection {
  readonly client: pg.ClientBase;
  readonly place: RowsPlace;
}

/**
 * The tables of both homes, from their catalogues. What both have in one place, such as the counters of a tenant that moves within a
 * database, stays. Throws `conflict` when a table is not the same in both.
 */
export async function planMove(
  engine: Engine,
  keeper: HomeKeeper,
  tenant: string,
  { source, target }: Pick<MovePlan, "source" | "target">,
): Promise<MovePlan> {
  const from = await tablesOf(engine, keeper, tenant, source);
  const to = new Map((await tablesOf(engine, keeper, tenant, target)).map((table) => [table.name, table]));
  const sameDatabase = source !== "database" && target !== "database";
  const pairs: TablePair[] = [];
  for (const table of from) {
    const other = to.get(table.name);
    if (!other || describe(other) !== describe(table)) throw different(table.name);
    if (STAYING.has(table.name)) continue;
    if (!sameDatabase || other.relation !== table.relation) pairs.push({ from: table, to: other });
  }
  if (from.length !== to.size) throw different([...to.keys()].find((name) => !from.some((table) => table.name === name)) ?? "");
  return { tenant, source, target, pairs };
}

/** A schema of one tenant shares with all others what is not in it: the platform's tables that tenants write. */
async function tablesOf(engine: Engine, keeper: HomeKeeper, tenant: string, model: HomeModel): Promise<readonly TenantTable[]> {
  return await engine.administer((client) => tablesIn(client, keeper, tenant, model), keeper.rowsOf(tenant, model).database);
}

/** The tables of a home, on a connection of the administrator's to its database. */
export async function tablesIn(
  client: pg.ClientBase,
  keeper: HomeKeeper,
  tenant: string,
  model: HomeModel,
): Promise<readonly TenantTable[]> {
  const own = await readTables(client, keeper.rowsOf(tenant, model).tables);
  if (model !== "schema") return own;
  const names = new Set(own.map(({ name }) => name));
  return [...own, ...(await readTables(client, keeper.rowsOf(tenant, "row").tables)).filter(({ name }) => !names.has(name))];
}

function describe({ columns, types, key }: TenantTable): string {
  return JSON.stringify([columns, types.map((type) => type.replace("freehold.", "")), key]);
}

function different(table: string): Fault {
  const detail = `The table ${table} is not the same in both homes. Run \`freehold migrate drift\`, then \`freehold migrate up\`.`;
  return new Fault("conflict", detail, { public: { detail } });
}
