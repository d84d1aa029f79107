import type { Kysely } from "kysely";
import type { Queryable, Rows, TenantData, TenantTables, TenantTransaction } from "./port.ts";
import type { Runner } from "./runner.ts";
import type { Statement } from "./sql.ts";
import { createTenantDb, createTransactionDb } from "./tenant-db.ts";

/** The data of one tenant, over a runner that knows where they are. */
export class TenantHandle implements TenantData {
  readonly #runner: Runner;
  #db: Kysely<TenantTables> | undefined;

  constructor(runner: Runner) {
    this.#runner = runner;
  }

  get db(): Kysely<TenantTables> {
    this.#db ??= createTenantDb(this);
    return this.#db;
  }

  query<R = Record<string, unknown>>(statement: Statement): Promise<Rows<R>> {
    return this.#runner.query<R>(statement);
  }

  transaction<T>(work: (tx: TenantTransaction) => Promise<T>): Promise<T> {
    return this.#runner.transaction((tx) => work(new TransactionHandle(tx)));
  }
}

class TransactionHandle implements TenantTransaction {
  readonly #tx: Queryable;
  #db: Kysely<TenantTables> | undefined;

  constructor(tx: Queryable) {
    this.#tx = tx;
  }

  get db(): Kysely<TenantTables> {
    this.#db ??= createTransactionDb(this.#tx);
    return this.#db;
  }

  query<R = Record<string, unknown>>(statement: Statement): Promise<Rows<R>> {
    return this.#tx.query<R>(statement);
  }
}
