import { builtStatement } from "../sql.ts";
import type { Queryable } from "../port.ts";
import { sealedTables } from "../table-list.ts";
import { type ColumnVault, keyText, placeOf, type SealedTable, versionOf } from "./sealed-tables.ts";

const PAGE = 200;

/**
 * Seals anew, with the tenant's key in force, what an older one sealed. Values stay readable all the time; one that is changed meanwhile is left
 * as it is. Gives how many were sealed anew. After a kill it goes on when it is called again.
 */
export async function resealColumns(rows: Queryable, vault: ColumnVault, signal?: AbortSignal): Promise<number> {
  let resealed = 0;
  // those that are there: a step may not have come to this home yet, or have taken a column away
  for (const [name, table] of await sealedTables(rows)) {
    const version = await vault.version("columns");
    for (const column of table.columns) resealed += await resealColumn(rows, { name, table, column, version }, vault, signal);
  }
  return resealed;
}

interface Work {
  readonly name: string;
  readonly table: SealedTable;
  readonly column: string;
  readonly version: number;
}

async function resealColumn(
  rows: Queryable,
  { name, table, column, version }: Work,
  vault: ColumnVault,
  signal?: AbortSignal,
): Promise<number> {
  // the version stands in four bytes behind the first
  const sealedWith = [1, 2, 3, 4].map((at, place) => `(get_byte(${column}, ${at})::bigint << ${24 - 8 * place})`).join(" | ");
  const order = table.key.join(", ");
  const match = table.key.map((part, at) => `${part} = $${at + 3}`).join(" and ");
  let resealed = 0;
  for (;;) {
    const text = `select ${order}, ${column} as sealed from ${name} where ${column} is not null and ${sealedWith} < $1 order by ${order} limit ${PAGE}`;
    const page = await rows.query<Record<string, unknown> & { readonly sealed: Buffer }>(builtStatement(text, [version]));
    let done = 0;
    for (const row of page.rows) {
      signal?.throwIfAborted();
      if (versionOf(row.sealed) >= version) continue;
      const key = table.key.map((part) => keyText(row[part]) ?? "");
      const place = placeOf(name, column, key);
      const sealed = await vault.seal(place, await vault.open(place, row.sealed));
      const update = `update ${name} set ${column} = $1 where ${column} = $2 and ${match}`;
      done += (await rows.query(builtStatement(update, [sealed, row.sealed, ...table.key.map((part) => row[part])]))).count;
    }
    resealed += done;
    if (page.rows.length < PAGE || done === 0) return resealed;
  }
}
