import type { KyselyPlugin, RootOperationNode } from "kysely";
import { createSealPlugin, refused, tableOf, ToBeSealed } from "./seal-query.ts";
import { type ColumnVault, keyText, placeOf, type SealedTables } from "./sealed-tables.ts";

/** Seals what goes into marked columns, and opens what comes out of them, for one tenant. */
export class ColumnSealer {
  readonly plugin: KyselyPlugin;
  readonly #tables: SealedTables;
  readonly #vault: ColumnVault;

  constructor(tables: SealedTables, vault: ColumnVault) {
    this.plugin = createSealPlugin(tables);
    this.#tables = tables;
    this.#vault = vault;
  }

  /** The parameters of a query with everything sealed that has to be. */
  async seal(parameters: readonly unknown[]): Promise<readonly unknown[]> {
    return await Promise.all(
      parameters.map((value) =>
        value instanceof ToBeSealed ? this.#vault.seal(placeOf(value.table, value.column, value.row), Buffer.from(value.text)) : value,
      ),
    );
  }

  /** The rows of a query of one table with its sealed columns opened. Throws where a row does not say which one it is. */
  async open<R>(query: RootOperationNode, rows: readonly R[]): Promise<readonly R[]> {
    const name = tableOf(query);
    const table = name === undefined ? undefined : this.#tables.get(name);
    if (name === undefined || !table) return rows;
    return await Promise.all(
      rows.map(async (given) => {
        const row = { ...given } as Record<string, unknown>; // a row of the database
        for (const column of table.columns) {
          const sealed = row[column];
          if (!(sealed instanceof Uint8Array)) continue;
          const key = table.key.map((part) => keyText(row[part]) ?? unnamed(name, part));
          row[column] = (await this.#vault.open(placeOf(name, column, key), sealed)).toString("utf8");
        }
        return row as R; // the sealed columns are text in the caller's terms
      }),
    );
  }
}

function unnamed(table: string, column: string): never {
  throw refused(table, `a sealed column is bound to its row: select ${column} with it, which is part of the key`);
}
