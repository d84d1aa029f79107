import {
  type CompiledQuery,
  type DatabaseConnection,
  type Dialect,
  type Driver,
  Kysely,
  type KyselyPlugin,
  type KyselyProps,
  PostgresAdapter,
  PostgresIntrospector,
  PostgresQueryCompiler,
  type QueryResult,
  Transaction,
  TransactionBuilder,
} from "kysely";
import { Fault } from "../../kernel/index.ts";
import type { Queryable, TenantData, TenantTables } from "./port.ts";
import type { ColumnSealer } from "./sealed/column-sealer.ts";
import { builtStatement } from "./sql.ts";

/** Typed queries of one tenant. Each is one round trip; a transaction that lost a race is run again. */
export function createTenantDb(data: TenantData, sealer?: ColumnSealer): Kysely<TenantTables> {
  return new TenantDb(data, propsOver(data, sealer), sealer);
}

/** Typed queries inside a transaction of one tenant. */
export function createTransactionDb(tx: Queryable, sealer?: ColumnSealer): Transaction<TenantTables> {
  return new Transaction<TenantTables>(propsOver(tx, sealer));
}

class TenantDb<DB> extends Kysely<DB> {
  readonly #data: TenantData;
  readonly #props: KyselyProps;
  readonly #sealer: ColumnSealer | undefined;

  constructor(data: TenantData, props: KyselyProps, sealer: ColumnSealer | undefined) {
    super(props);
    this.#data = data;
    this.#props = props;
    this.#sealer = sealer;
  }

  override transaction(): TransactionBuilder<DB> {
    return new RunAgainTransaction<DB>(this.#data, this.#props, this.#sealer);
  }

  override withPlugin(plugin: KyselyPlugin): Kysely<DB> {
    return new TenantDb<DB>(this.#data, { ...this.#props, executor: this.#props.executor.withPlugin(plugin) }, this.#sealer);
  }

  override withoutPlugins(): Kysely<DB> {
    const bare = this.#props.executor.withoutPlugins();
    const executor = this.#sealer ? bare.withPlugin(this.#sealer.plugin) : bare; // what seals is no plugin that can be taken off
    return new TenantDb<DB>(this.#data, { ...this.#props, executor }, this.#sealer);
  }
}

/** A transaction whose callback is run again when it lost a race, or when the tenant moved meanwhile: `TenantData.transaction`. */
class RunAgainTransaction<DB> extends TransactionBuilder<DB> {
  readonly #data: TenantData;
  readonly #props: KyselyProps;
  readonly #sealer: ColumnSealer | undefined;

  constructor(data: TenantData, props: KyselyProps, sealer: ColumnSealer | undefined) {
    super(props);
    this.#data = data;
    this.#props = props;
    this.#sealer = sealer;
  }

  override async execute<T>(callback: (trx: Transaction<DB>) => Promise<T>): Promise<T> {
    return await this.#data.transaction((tx) => {
      const { plugins } = this.#props.executor;
      const props = propsOver(tx, this.#sealer);
      return callback(new Transaction<DB>({ ...props, executor: props.executor.withoutPlugins().withPlugins(plugins) }));
    });
  }

  override setAccessMode(): never {
    throw unsupported("an access mode");
  }

  override setIsolationLevel(): never {
    throw unsupported("an isolation level");
  }
}

function propsOver(over: Queryable, sealer?: ColumnSealer): KyselyProps {
  const driver = new QueryableDriver(over, sealer);
  const dialect: Dialect = {
    createAdapter: () => new PostgresAdapter(),
    createDriver: () => driver,
    createIntrospector: (db) => new PostgresIntrospector(db),
    createQueryCompiler: () => new PostgresQueryCompiler(),
  };
  const config = { dialect, ...(sealer && { plugins: [sealer.plugin] }) };
  return { config, dialect, driver, executor: new Kysely<TenantTables>(config).getExecutor() };
}

/** Sends each query to whatever runs a tenant's statements. It has no connection to hold: the pool and the transaction are the handle's. */
class QueryableDriver implements Driver {
  readonly #connection: DatabaseConnection;

  constructor(over: Queryable, sealer: ColumnSealer | undefined) {
    this.#connection = new QueryableConnection(over, sealer);
  }

  async init(): Promise<void> {}

  async acquireConnection(): Promise<DatabaseConnection> {
    return this.#connection;
  }

  async beginTransaction(): Promise<void> {
    throw unsupported("a transaction begun by hand: use db.transaction().execute(…)");
  }

  async commitTransaction(): Promise<void> {}

  async rollbackTransaction(): Promise<void> {}

  async releaseConnection(): Promise<void> {}

  async destroy(): Promise<void> {}
}

class QueryableConnection implements DatabaseConnection {
  readonly #over: Queryable;
  readonly #sealer: ColumnSealer | undefined;

  constructor(over: Queryable, sealer: ColumnSealer | undefined) {
    this.#over = over;
    this.#sealer = sealer;
  }

  async executeQuery<R>({ sql, parameters, query }: CompiledQuery): Promise<QueryResult<R>> {
    const values = this.#sealer ? await this.#sealer.seal(parameters) : parameters;
    const { rows: found, count } = await this.#over.query<R>(builtStatement(sql, values));
    const rows = this.#sealer ? await this.#sealer.open(query, found) : found;
    const result = { rows: rows as R[] }; // Kysely's type is not readonly; the rows are this caller's own
    return query.kind === "SelectQueryNode" ? result : { ...result, numAffectedRows: BigInt(count) };
  }

  // oxlint-disable-next-line require-yield -- it only refuses
  async *streamQuery(): AsyncIterableIterator<never> {
    throw unsupported("a stream: read in pages");
  }
}

function unsupported(what: string): Fault {
  return new Fault("internal", `a tenant's handle does not take ${what}`);
}
