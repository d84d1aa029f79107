import type { Kysely } from "kysely";
import type { DataModel } from "../../kernel/index.ts";
import type { Rows, TenantData, TenantTables, TenantTransaction } from "./port.ts";
import type { Runner, RunningTransaction } from "./runner.ts";
import type { ColumnSealer } from "./sealed/column-sealer.ts";
import type { Statement } from "./sql.ts";
import { createTenantDb, createTransactionDb } from "./tenant-db.ts";

/** The data of one tenant, over a runner that knows where they are. */
export class TenantHandle implements TenantData {
  readonly #runner: Runner;
  readonly #stored: (model: DataModel) => void;
  readonly #sealer: ColumnSealer | undefined;
  #db: Kysely<TenantTables> | undefined;

  /** `stored` is told of each transaction that was stored; `sealer` keeps marked columns sealed. */
  constructor(runner: Runner, stored: (model: DataModel) => void = () => {}, sealer?: ColumnSealer) {
    this.#runner = runner;
    this.#stored = stored;
    this.#sealer = sealer;
  }

  get db(): Kysely<TenantTables> {
    this.#db ??= createTenantDb(this, this.#sealer);
    return this.#db;
  }

  query<R = Record<string, unknown>>(statement: Statement): Promise<Rows<R>> {
    return this.#runner.query<R>(statement);
  }

  async transaction<T>(work: (tx: TenantTransaction) => Promise<T>): Promise<T> {
    let model: DataModel = "row";
    const result = await this.#runner.transaction((tx) => {
      model = tx.model;
      return work(new TransactionHandle(tx, this.#sealer));
    });
    this.#stored(model);
    return result;
  }
}

class TransactionHandle implements TenantTransaction {
  readonly model: DataModel;
  readonly #tx: RunningTransaction;
  readonly #sealer: ColumnSealer | undefined;
  #db: Kysely<TenantTables> | undefined;

  constructor(tx: RunningTransaction, sealer: ColumnSealer | undefined) {
    this.#tx = tx;
    this.#sealer = sealer;
    this.model = tx.model;
  }

  get db(): Kysely<TenantTables> {
    this.#db ??= createTransactionDb(this.#tx, this.#sealer);
    return this.#db;
  }

  query<R = Record<string, unknown>>(statement: Statement): Promise<Rows<R>> {
    return this.#tx.query<R>(statement);
  }
}
