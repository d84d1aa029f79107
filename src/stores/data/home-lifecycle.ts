import { type DataModel, Fault, type StoreLifecycle, type StoreRecord, type StoreRemainder, type StoreTenant } from "../../kernel/index.ts";
import type { Engine } from "./engine.ts";
import { type HomeKeeper, setHomeSql } from "./home-keeper.ts";
import type { Homes } from "./homes.ts";
import type { Queryable } from "./port.ts";
import { rolesOf } from "./roles.ts";
import { readRows, writeRows } from "./row-records.ts";
import type { SealedTables } from "./sealed/sealed-tables.ts";
import { builtStatement, sql } from "./sql.ts";
import { ownTables, plainName, sealedTables, type TenantTable } from "./table-list.ts";

/** What the life of a tenant's home is made of. */
export interface HomeLifecycleParts {
  readonly engine: Engine;
  readonly keeper: HomeKeeper;
  readonly homes: Homes;
  readonly system: Queryable;
  /** The rows of this tenant, wherever they are. */
  readonly rowsOf: (tenant: string) => Queryable;
  /** Where a tenant that is made wants its rows. */
  readonly wantedModel: (tenant: StoreTenant) => Promise<DataModel>;
}

/** Bookkeeping of the platform's that says nothing to the tenant and is made anew elsewhere. */
const NOT_EXPORTED: ReadonlySet<string> = new Set(["inbox", "isolation_probe"]);
const IMPORT_BATCH = 200;

/**
 * The life of a tenant's home, in every data model. Which tables there are is asked of the engine's catalogue each time, so a table that an
 * application declares is measured and exported without anybody thinking of it. An erasure removes what was made for the tenant alone, with
 * all rows in it; rows among those of others are {@link TenantRows}'.
 */
export class HomeLifecycle implements StoreLifecycle {
  readonly name = "data";
  readonly #parts: HomeLifecycleParts;

  constructor(parts: HomeLifecycleParts) {
    this.#parts = parts;
  }

  async provision(tenant: StoreTenant): Promise<void> {
    const model = await this.#parts.wantedModel(tenant);
    if (model !== "row" || this.#parts.homes.modelOf(tenant) !== "row") await this.#parts.homes.place(tenant, model);
  }

  async measure({ uuid }: StoreTenant): Promise<{ readonly items: number; readonly bytes: number }> {
    const rows = this.#parts.rowsOf(uuid);
    let [items, bytes] = [0, 0];
    for (const { relation } of await ownTables(rows)) {
      const { rows: found } = await rows.query<{ items: number; bytes: number }>(
        builtStatement(
          `select count(*) as items, coalesce(sum(pg_column_size(whole.*)), 0)::int8 as bytes from ${relation} whole where tenant_id = $1`,
          [uuid],
        ),
      );
      items += found[0]?.items ?? 0;
      bytes += found[0]?.bytes ?? 0;
    }
    return { items, bytes };
  }

  async *export({ uuid }: StoreTenant): AsyncIterable<StoreRecord> {
    const rows = this.#parts.rowsOf(uuid);
    for (const table of await ownTables(rows)) {
      if (NOT_EXPORTED.has(table.name) || holdsSecrets(table)) continue;
      for await (const value of readRows(rows, table, uuid)) yield { kind: table.name, value };
    }
  }

  async import({ uuid }: StoreTenant, records: AsyncIterable<StoreRecord>): Promise<void> {
    const rows = this.#parts.rowsOf(uuid);
    const tables = new Map((await ownTables(rows)).map((table) => [table.name, table]));
    let batch: StoreRecord[] = [];
    const flush = async (): Promise<void> => {
      const table = tables.get(batch[0]?.kind ?? "");
      if (table)
        await writeRows(
          rows,
          table,
          uuid,
          batch.map(({ value }) => value),
        );
      batch = [];
    };
    for await (const record of records) {
      if (!tables.has(record.kind)) throw unknownKind(record.kind);
      if (batch.length === IMPORT_BATCH || (batch.length > 0 && batch[0]?.kind !== record.kind)) await flush();
      batch.push(record);
    }
    await flush();
  }

  /** The tenant's tables with sealed columns, wherever they are. What is exported and imported has them as the database does: sealed. */
  async sealed({ uuid }: Pick<StoreTenant, "uuid">): Promise<SealedTables> {
    return await sealedTables(this.#parts.rowsOf(uuid));
  }

  async erase(tenant: StoreTenant): Promise<void> {
    const { engine, keeper, homes, system } = this.#parts;
    const { uuid } = tenant;
    await homes.refresh();
    const { count } = await system.query(sql`select from freehold.moves where tenant_id = ${uuid}`);
    if (count > 0) await homes.confirm(tenant); // what a move has left
    const model = homes.homeModelOf(tenant);
    if (model !== "row") {
      await keeper.demolish(uuid, model);
      await engine.administer(async (client) => void (await client.query(`begin; ${setHomeSql(uuid, "row", keeper.names(uuid))}; commit`)));
      await homes.refresh();
    }
  }

  async remains({ uuid }: StoreTenant): Promise<readonly StoreRemainder[]> {
    const { keeper, system } = this.#parts;
    return (await objectsOf(system, keeper, uuid)).filter(({ items }) => items > 0);
  }
}

/** Secrets of the platform are kept sealed or hashed, and that is bytes; an application's sealed columns are its data. */
function holdsSecrets({ columns, types, sealed }: TenantTable): boolean {
  return columns.some((column, at) => (types[at] ?? "").startsWith("bytea") && !sealed.includes(plainName(column)));
}

/** The schema, the database and the roles that were made for the tenant alone. */
async function objectsOf(data: Queryable, keeper: HomeKeeper, tenant: string): Promise<readonly StoreRemainder[]> {
  const { schema, search, owner, login, database } = keeper.names(tenant);
  const { app, system, tenants, owner: databaseOwner } = rolesOf(database);
  const roles = [owner, login, app, system, tenants, databaseOwner];
  const { rows } = await data.query<StoreRemainder>(sql`
    select 'schema' as place, count(*) as items from pg_catalog.pg_namespace where nspname in (${schema}, ${search})
    union all select 'database', count(*) from pg_catalog.pg_database where datname = ${database}
    union all select 'roles', count(*) from pg_catalog.pg_roles where rolname = any (${roles})`);
  return rows;
}

function unknownKind(kind: string): Fault {
  const detail = `There is no table ${kind} here: declare it, or leave it out.`;
  return new Fault("invalid_settings", detail, { public: { detail } });
}
