import pg from "pg";
import { Fault } from "../../kernel/index.ts";
import { isRetryable, NotEntered, sqlState, toDataFault, wasNotEntered } from "./data-fault.ts";
import type { Queryable, Rows } from "./port.ts";
import { Preparation, PreparedQuery, type ProtocolConnection } from "./prepared-query.ts";
import type { Statement } from "./sql.ts";

/** How long one transaction may stay open. */
const TRANSACTION_TIMEOUT_MS = 15_000;
const TRANSACTION_TRIES_MAX = 4;
/** The client's and the server's ideas of what is prepared differ: unknown, already there, or of another shape since. */
const PREPARED_WRONGLY: ReadonlySet<string> = new Set(["26000", "42P05", "0A000"]);

/** Session statements. They are ours and constant, so they are not held to what a tenant's handle accepts. */
const BEGIN: Statement = { name: "fh_begin", text: "begin", values: [] };
const COMMIT: Statement = { name: "fh_commit", text: "commit", values: [] };

/** What happened to a connection, for health and for the embedded store's watchdog. */
export interface RunnerEvents {
  answered(): void;
  failed(fault: Fault): void;
}

/** Prepares on a fresh connection what every query needs. */
export async function prepareConnection(client: pg.ClientBase, preambles: readonly Statement[]): Promise<void> {
  for (const statement of [BEGIN, ...preambles]) {
    await new Promise<void>((resolve, reject) => {
      submit(client, new Preparation(statement, (error) => (error ? reject(error) : resolve())));
    });
  }
}

/** Runs statements on connections of the pool, each behind the preamble that says for whom. */
export class Runner {
  readonly #pool: pg.Pool;
  readonly #preamble: Statement | undefined;
  readonly #events: RunnerEvents;

  constructor(pool: pg.Pool, preamble: Statement | undefined, events: RunnerEvents) {
    this.#pool = pool;
    this.#preamble = preamble;
    this.#events = events;
  }

  /** One statement in one round trip and a transaction of its own. */
  async query<R>(statement: Statement): Promise<Rows<R>> {
    return await this.#untilWon((client) => run<R>(client, this.#preamble, statement));
  }

  async transaction<T>(work: (tx: Queryable) => Promise<T>): Promise<T> {
    return await this.#untilWon((client) => this.#attempt(client, work));
  }

  async #untilWon<T>(use: (client: pg.PoolClient) => Promise<T>): Promise<T> {
    for (let tries = 1; ; tries++) {
      try {
        return await this.#withClient(use);
      } catch (error) {
        if (!isRetryable(error) || tries >= TRANSACTION_TRIES_MAX) throw error;
      }
    }
  }

  async #attempt<T>(client: pg.PoolClient, work: (tx: Queryable) => Promise<T>): Promise<T> {
    const scope = new TransactionScope(client);
    try {
      await this.#begin(client);
      const result = await scope.within(work);
      await run(client, undefined, COMMIT);
      return result;
    } catch (error) {
      scope.end();
      await rollback(client);
      throw error;
    }
  }

  async #begin(client: pg.PoolClient): Promise<void> {
    if (!this.#preamble) return void (await run(client, undefined, BEGIN));
    try {
      await run(client, BEGIN, this.#preamble); // in one round trip
    } catch (error) {
      throw error instanceof pg.DatabaseError ? new NotEntered(error.message, { cause: error }) : error;
    }
  }

  async #withClient<T>(use: (client: pg.PoolClient) => Promise<T>): Promise<T> {
    let client: pg.PoolClient | undefined;
    let clean = false;
    try {
      client = await this.#pool.connect();
      const result = await use(client);
      clean = isIdle(client);
      this.#events.answered();
      return result;
    } catch (error) {
      const fault = toDataFault(error);
      if (client) clean = (await settles(client)) && !PREPARED_WRONGLY.has(sqlState(error) ?? "") && !wasNotEntered(fault);
      this.#events.failed(fault);
      throw fault;
    } finally {
      // a connection that did not come back idle could carry a tenant's transaction or settings: it is never used again
      client?.release(!clean);
    }
  }
}

/** The handle inside a transaction. It stops working with the transaction, so that a forgotten await cannot write elsewhere. */
class TransactionScope implements Queryable {
  readonly #client: pg.PoolClient;
  #open = true;

  constructor(client: pg.PoolClient) {
    this.#client = client;
  }

  async query<R>(statement: Statement): Promise<Rows<R>> {
    if (!this.#open) throw new Fault("internal", "a transaction's handle was used after the transaction");
    try {
      return await run<R>(this.#client, undefined, statement);
    } catch (error) {
      throw toDataFault(error);
    }
  }

  end(): void {
    this.#open = false;
  }

  async within<T>(work: (tx: Queryable) => Promise<T>): Promise<T> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Fault("overloaded", "a transaction stayed open for too long")), TRANSACTION_TIMEOUT_MS);
    });
    try {
      return await Promise.race([work(this), late]);
    } finally {
      clearTimeout(timer);
      this.end();
    }
  }
}

/** One statement behind its preamble, if it has one. */
function run<R>(client: pg.ClientBase, preamble: Statement | undefined, statement: Statement): Promise<Rows<R>> {
  return new Promise((resolve, reject) => submit(client, new PreparedQuery<R>(preamble, statement, resolve, reject)));
}

async function rollback(client: pg.PoolClient): Promise<void> {
  // what goes wrong here is seen by the caller's check of the connection, which then ends it
  await client.query("rollback").catch(() => undefined);
}

function submit<R>(client: pg.ClientBase, query: PreparedQuery<R> | Preparation): void {
  // node-postgres takes any object with `submit` and the handlers; its type knows only its own classes
  client.query(query as unknown as pg.Submittable);
}

interface ClientState {
  readonly readyForQuery: boolean;
  readonly connection: ProtocolConnection & {
    readonly stream: { readonly destroyed: boolean };
    once(event: string, listener: () => void): void;
    off(event: string, listener: () => void): void;
  };
  getTransactionStatus(): string | null;
}

function stateOf(client: pg.ClientBase): ClientState {
  return client as unknown as ClientState; // public behaviour of node-postgres 8.23 that its types leave out
}

function isIdle(client: pg.ClientBase): boolean {
  const { readyForQuery, connection } = stateOf(client);
  return readyForQuery && !connection.stream.destroyed && stateOf(client).getTransactionStatus() === "I";
}

/** After a failure: waits for the server's word that it is ready again, and tells whether no transaction is left open. */
async function settles(client: pg.ClientBase): Promise<boolean> {
  const { connection, readyForQuery } = stateOf(client);
  if (!readyForQuery && !connection.stream.destroyed) {
    await new Promise<void>((resolve) => {
      const done = (): void => {
        connection.off("readyForQuery", done);
        connection.off("end", done);
        resolve();
      };
      connection.once("readyForQuery", done);
      connection.once("end", done);
    });
  }
  return isIdle(client);
}
