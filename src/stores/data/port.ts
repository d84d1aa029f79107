import type { Kysely } from "kysely";
import type { DataModel, StoreTenant, TenantContext } from "../../kernel/index.ts";
import type { HomeLifecycle } from "./home-lifecycle.ts";
import type { Homes } from "./homes.ts";
import type { ColumnVault } from "./sealed/sealed-tables.ts";
import type { Statement } from "./sql.ts";
import type { Fleet } from "./tables/fleet.ts";
import type { TenantRows } from "./tenant-rows.ts";

/** The rows of one statement. `count` is how many rows it returned or changed. */
export interface Rows<R> {
  readonly rows: readonly R[];
  readonly count: number;
}

/** Something that runs statements. */
export interface Queryable {
  query<R = Record<string, unknown>>(statement: Statement): Promise<Rows<R>>;
}

/**
 * The tables that an application declares, for typed queries: name -> row, in Kysely's own terms. An application adds its tables by
 * declaration merging.
 */
export interface TenantTables {}

/** A transaction of one tenant. */
export interface TenantTransaction extends Queryable {
  /** Where this transaction is: with a database of its own, a tenant does not see the tables in which the platform hands events out. */
  readonly model: DataModel;
  /** Typed queries inside this transaction. */
  readonly db: Kysely<TenantTables>;
}

/**
 * All rows of one tenant and no others. The engine itself enforces it: row security is forced, the role neither owns nor bypasses, and
 * the setting that names the tenant cannot be reached by any statement that this handle accepts.
 */
export interface TenantData extends Queryable {
  /**
   * Typed queries of this tenant: one round trip each, like `query`, and held to the same statements. `db.transaction()` runs again like
   * `transaction`.
   */
  readonly db: Kysely<TenantTables>;
  /**
   * Runs `work` in one transaction: all of it or nothing. Use only the given handle inside; keep network calls outside.
   * A transaction that lost a race (serialisation, deadlock) is run again, so `work` must be free of other effects.
   */
  transaction<T>(work: (tx: TenantTransaction) => Promise<T>): Promise<T>;
}

/** Rows of the platform itself and, where a policy names it, of all tenants. Only listed files may use it. */
export interface SystemData extends Queryable {
  transaction<T>(work: (tx: Queryable) => Promise<T>): Promise<T>;
  /**
   * Calls `onMessage` for each notification on the channel. `onGap` is called after the connection was lost and found again, when
   * notifications may have been missed.
   */
  listen(channel: string, onMessage: (payload: string) => void, onGap: () => void): Promise<() => Promise<void>>;
  /**
   * Runs this on the connection that is open as long as the process runs, and again on each that takes its place: what it holds is let go
   * of when the process ends, however it ends. To be safe to run twice.
   */
  keep(text: string): Promise<void>;
}

/** What an engine offers to the search store. */
export interface DataCapabilities {
  readonly engine: "pglite" | "postgres";
  /** Whether the `vector` type of pgvector can be used. */
  readonly vector: boolean;
}

/** The data store: PostgreSQL, embedded or real, behind one code path. */
export interface DataStore {
  readonly capabilities: DataCapabilities;
  /**
   * The rows of the context's tenant. Cheap: may be called once per request. With `vault`, `db` takes and gives text in columns that an
   * application's tables mark as sealed; without it they hold bytes that only the vault opens.
   */
  forTenant(context: TenantContext, vault?: ColumnVault): TenantData;
  /** Whether an application's tables mark any column as sealed. */
  readonly sealsColumns: boolean;
  /** Seals anew what an older key of the tenant's sealed in marked columns; gives how many values. */
  resealColumns(context: TenantContext, vault: ColumnVault, signal?: AbortSignal): Promise<number>;
  /**
   * The tenant's rows in the tables that the platform keeps for all tenants together, wherever the tenant's own home is: its audit trail and
   * its events on their way. Application data is not there.
   */
  forPlatformTables(context: TenantContext): TenantData;
  /** Where tenants' rows are, and changing that. */
  readonly homes: Homes;
  /** The application's tables in all homes. */
  readonly fleet: Fleet;
  /** The life of a tenant's home. `wantedModel` says where a tenant that is made wants its rows. An erasure leaves rows among those of others. */
  lifecycle(wantedModel: (tenant: StoreTenant) => Promise<DataModel>): HomeLifecycle;
  readonly system: SystemData;
  /** One tenant's rows wherever they are, for its export and its end. */
  readonly rows: TenantRows;
  /** Whether statements are being answered at the moment, and if not, why in a few public words. */
  health(): { readonly ok: true } | { readonly ok: false; readonly reason: string };
  close(): Promise<void>;
}
