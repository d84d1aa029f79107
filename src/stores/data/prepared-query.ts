import pg from "pg";
import { prepareValue } from "pg/lib/utils.js";
import { Fault } from "../../kernel/index.ts";
import { NotEntered } from "./data-fault.ts";
import type { Rows } from "./port.ts";
import type { Statement } from "./sql.ts";

/** What this file uses of node-postgres's connection: the extended query protocol, written message by message. */
export interface ProtocolConnection {
  readonly stream: { cork(): void; uncork(): void };
  readonly parsedStatements: Record<string, string | undefined>;
  readonly submittedNamedStatements: Record<string, string | undefined>;
  parse(message: { name: string; text: string; types?: readonly number[] }): void;
  bind(message: { portal: string; statement: string; values: readonly unknown[]; valueMapper: (value: unknown) => unknown }): void;
  describe(message: { type: "P"; name: string }): void;
  execute(message: { portal: string; rows: number }): void;
  sync(): void;
}

interface Field {
  readonly name: string;
  readonly dataTypeID: number;
}

interface Column {
  readonly name: string;
  readonly parse: (text: string) => unknown;
}

const INT8_OID = 20;

/** Row shapes by connection and statement, so that the server describes each only once. A changed shape fails the statement (0A000). */
const columnsOf = new WeakMap<ProtocolConnection, Map<string, readonly Column[]>>();

/**
 * One prepared statement, with a preamble or without, under one Sync: one round trip, one implicit transaction
 * (PostgreSQL documentation, "Extended Query"). If the preamble fails, the server skips the statement.
 * It is handed to a node-postgres client, which calls the `handle…` methods.
 */
export class PreparedQuery<R> {
  /** Read by the client, which keeps the books on what is prepared. */
  readonly name: string;
  readonly text: string;
  /** Must exist for the client not to put its own in place. */
  readonly callback: (error: Error | null) => void;
  readonly #values: readonly unknown[];
  readonly #preamble: Statement | undefined;
  readonly #resolve: (rows: Rows<R>) => void;
  readonly #reject: (error: Error) => void;
  readonly #rows: R[] = [];
  #columns: readonly Column[] = [];
  #inPreamble: boolean;
  #count = 0;
  #failure: Error | undefined;

  constructor(preamble: Statement | undefined, statement: Statement, resolve: (rows: Rows<R>) => void, reject: (error: Error) => void) {
    this.name = statement.name;
    this.text = statement.text;
    this.#values = statement.values;
    this.#preamble = preamble;
    this.#inPreamble = preamble !== undefined;
    this.#resolve = resolve;
    this.#reject = reject;
    this.callback = (error) => {
      if (error) reject(error);
    };
  }

  submit(connection: ProtocolConnection): void {
    const known = columnsFor(connection).get(this.name);
    connection.stream.cork(); // all messages leave in one write
    try {
      // before anything is written: the client's write buffer is one for all connections
      const values = this.#values.map(prepareValue);
      if (this.#preamble) bindAndExecute(connection, this.#preamble);
      if (connection.parsedStatements[this.name] === undefined) connection.parse({ name: this.name, text: this.text });
      connection.bind({ portal: "", statement: this.name, values, valueMapper: asItIs });
      if (known) this.#columns = known;
      else connection.describe({ type: "P", name: "" });
      connection.execute({ portal: "", rows: 0 });
    } catch (error) {
      // a value that cannot be encoded
      this.#failure = error instanceof Error ? error : new Error(String(error));
    } finally {
      connection.sync();
      connection.stream.uncork();
    }
  }

  handleRowDescription(message: { fields: readonly Field[] }): void {
    this.#columns = message.fields.map(({ name, dataTypeID }) => ({
      name,
      parse: dataTypeID === INT8_OID ? parseInt8 : (pg.types.getTypeParser(dataTypeID, "text") as Column["parse"]),
    }));
  }

  handleDataRow(message: { fields: readonly (string | null)[] }): void {
    if (this.#inPreamble || this.#failure) return;
    const row: Record<string, unknown> = {};
    const columns = this.#columns;
    try {
      for (let i = 0; i < columns.length; i++) {
        const column = columns[i];
        const text = message.fields[i];
        if (column) row[column.name] = text === null || text === undefined ? null : column.parse(text);
      }
    } catch (error) {
      this.#failure = error instanceof Error ? error : new Error(String(error));
    }
    this.#rows.push(row as R); // the caller names the shape that its own statement returns
  }

  handleCommandComplete(message: { text: string }): void {
    if (this.#inPreamble) this.#inPreamble = false;
    else this.#count = Number(/(\d+)$/.exec(message.text)?.[1] ?? 0);
    // a COMMIT of a transaction in which a statement failed is answered so, and not with an error: nothing was stored
    if (message.text === "ROLLBACK")
      this.#failure = new Fault("internal", "the transaction was not stored: one of its statements had failed");
  }

  handleReadyForQuery(connection: ProtocolConnection): void {
    if (this.#failure) return this.#reject(this.#failure);
    columnsFor(connection).set(this.name, this.#columns);
    this.#resolve({ rows: this.#rows, count: this.#count });
  }

  handleError(error: Error): void {
    this.#reject(this.#inPreamble && error instanceof pg.DatabaseError ? new NotEntered(error.message, { cause: error }) : error);
  }

  handleEmptyQuery(): void {}

  handlePortalSuspended(): void {}

  handleCopyInResponse(): void {}

  handleCopyData(): void {}
}

/** Only prepares a statement; nothing runs. */
export class Preparation {
  readonly name: string;
  readonly text: string;
  readonly callback: (error: Error | null) => void;
  readonly #done: (error?: Error) => void;

  constructor(statement: Statement, done: (error?: Error) => void) {
    this.name = statement.name;
    this.text = statement.text;
    this.#done = done;
    this.callback = () => {};
  }

  submit(connection: ProtocolConnection): void {
    connection.parse({ name: this.name, text: this.text });
    connection.sync();
  }

  handleReadyForQuery(): void {
    this.#done();
  }

  handleError(error: Error): void {
    this.#done(error);
  }
}

function asItIs(value: unknown): unknown {
  return value;
}

function bindAndExecute(connection: ProtocolConnection, statement: Statement): void {
  connection.bind({ portal: "", statement: statement.name, values: statement.values, valueMapper: prepareValue });
  connection.execute({ portal: "", rows: 0 });
}

function columnsFor(connection: ProtocolConnection): Map<string, readonly Column[]> {
  let columns = columnsOf.get(connection);
  if (!columns) {
    columns = new Map();
    columnsOf.set(connection, columns);
  }
  return columns;
}

function parseInt8(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value)) throw new RangeError("an int8 is larger than a JavaScript integer");
  return value;
}
