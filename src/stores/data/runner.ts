import pg from "pg";
import { type DataModel, Fault } from "../../kernel/index.ts";
import { stateOf } from "./client-state.ts";
import type { Lease } from "./connection-budget.ts";
import type { Home } from "./home.ts";
import { hasLeftHome, isRetryable, NotEntered, sqlState, toDataFault, wasNotEntered } from "./data-fault.ts";
import type { Queryable, Rows } from "./port.ts";
import { Preparation, PreparedQuery } from "./prepared-query.ts";
import type { Statement } from "./sql.ts";

/** How long one transaction may stay open. */
const TRANSACTION_TIMEOUT_MS = 15_000;
const TRANSACTION_TRIES_MAX = 4;
/** How long work waits for a tenant that is on its way from one home to another. */
const MOVING_TIMEOUT_MS = 30_000;
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

/** A connection on loan, and what is sent in front of each statement to say for whom it is. */
export interface Checkout {
  readonly lease: Lease;
  readonly preamble: Statement | undefined;
  readonly model: DataModel;
  /** The home it leads to, where it is a tenant's. */
  readonly home?: Home;
  /** Up to which epoch moves were known when it was given out. */
  readonly seen?: number;
}

/** A transaction under way. */
export interface RunningTransaction extends Queryable {
  readonly model: DataModel;
}

/** Where a runner gets its connections. */
export interface ConnectionSource {
  checkOut(): Promise<Checkout>;
  /** Whether the failure came of a home that the tenant has left, so that the same work belongs to the next check-out. */
  hasMoved(fault: Fault, checkout: Checkout): Promise<boolean>;
}

/** Runs statements on connections of the source, each behind the preamble that says for whom. */
export class Runner {
  readonly #source: ConnectionSource;
  readonly #events: RunnerEvents;

  constructor(source: ConnectionSource, events: RunnerEvents) {
    this.#source = source;
    this.#events = events;
  }

  /** One statement in one round trip and a transaction of its own. */
  async query<R>(statement: Statement): Promise<Rows<R>> {
    return await this.#untilWon(({ lease, preamble }) => run<R>(lease.client, preamble, statement));
  }

  async transaction<T>(work: (tx: RunningTransaction) => Promise<T>): Promise<T> {
    return await this.#untilWon((checkout) => this.#attempt(checkout, work));
  }

  async #untilWon<T>(use: (checkout: Checkout) => Promise<T>): Promise<T> {
    const startedMs = performance.now();
    for (let tries = 1; ; tries++) {
      let checkout: Checkout | undefined;
      try {
        checkout = await this.#checkOut();
        return await this.#useOnce(checkout, use);
      } catch (error) {
        const fault = toDataFault(error);
        if (checkout && performance.now() - startedMs < MOVING_TIMEOUT_MS && (await this.#source.hasMoved(fault, checkout))) {
          tries--; // it did not lose a race: it has not begun
          continue;
        }
        this.#events.failed(fault);
        if (!isRetryable(fault) || tries >= TRANSACTION_TRIES_MAX) throw fault;
      }
    }
  }

  async #attempt<T>({ lease: { client }, preamble, model }: Checkout, work: (tx: RunningTransaction) => Promise<T>): Promise<T> {
    const scope = new TransactionScope(client, model);
    try {
      await this.#begin(client, preamble);
      const result = await scope.within(work);
      await run(client, undefined, COMMIT);
      return result;
    } catch (error) {
      scope.end();
      await rollback(client);
      throw scope.left ?? error;
    }
  }

  async #begin(client: pg.Client, preamble: Statement | undefined): Promise<void> {
    if (!preamble) return void (await run(client, undefined, BEGIN));
    try {
      await run(client, BEGIN, preamble); // in one round trip
    } catch (error) {
      throw error instanceof pg.DatabaseError ? new NotEntered(error.message, { cause: error }) : error;
    }
  }

  async #checkOut(): Promise<Checkout> {
    try {
      return await this.#source.checkOut();
    } catch (error) {
      throw toDataFault(error);
    }
  }

  async #useOnce<T>(checkout: Checkout, use: (checkout: Checkout) => Promise<T>): Promise<T> {
    const { lease } = checkout;
    let clean = false;
    try {
      const result = await use(checkout);
      clean = isIdle(lease.client);
      this.#events.answered();
      return result;
    } catch (error) {
      const fault = toDataFault(error);
      clean = (await settles(lease.client)) && !PREPARED_WRONGLY.has(sqlState(error) ?? "") && !wasNotEntered(fault);
      throw fault;
    } finally {
      // a connection that did not come back idle could carry a tenant's transaction or settings: it is never used again
      lease.release(clean);
    }
  }
}

/** The handle inside a transaction. It stops working with the transaction, so that a forgotten await cannot write elsewhere. */
class TransactionScope implements RunningTransaction {
  readonly model: DataModel;
  readonly #client: pg.Client;
  #open = true;
  /** Set when a statement was refused because the tenant has moved: the whole transaction is then run again, whatever the work made of it. */
  left: Fault | undefined;

  constructor(client: pg.Client, model: DataModel) {
    this.#client = client;
    this.model = model;
  }

  async query<R>(statement: Statement): Promise<Rows<R>> {
    if (!this.#open) throw new Fault("internal", "a transaction's handle was used after the transaction");
    try {
      return await run<R>(this.#client, undefined, statement);
    } catch (error) {
      const fault = toDataFault(error);
      if (hasLeftHome(fault)) this.left = fault;
      throw fault;
    }
  }

  end(): void {
    this.#open = false;
  }

  async within<T>(work: (tx: RunningTransaction) => Promise<T>): Promise<T> {
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

async function rollback(client: pg.Client): Promise<void> {
  // what goes wrong here is seen by the caller's check of the connection, which then ends it
  await client.query("rollback").catch(() => undefined);
}

function submit<R>(client: pg.ClientBase, query: PreparedQuery<R> | Preparation): void {
  // node-postgres takes any object with `submit` and the handlers; its type knows only its own classes
  client.query(query as unknown as pg.Submittable);
}

function isIdle(client: pg.ClientBase): boolean {
  const { readyForQuery, _queryable: usable, connection } = stateOf(client);
  return readyForQuery && usable && !connection.stream.destroyed && stateOf(client).getTransactionStatus() === "I";
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
