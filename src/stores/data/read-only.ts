import { existsSync } from "node:fs";
import path from "node:path";
import pg from "pg";
import { Fault } from "../../kernel/index.ts";
import { sqlState, toDataFault } from "./data-fault.ts";
import { lockFolder } from "./folder-lock.ts";
import { PgliteServer } from "./pglite-server.ts";

const CONNECT_TIMEOUT_MS = 10_000;
/** A catalog of many thousand tables takes a moment; a lock held by somebody else must not hold this up for long. */
const STATEMENT_TIMEOUT_MS = 60_000;
const INSUFFICIENT_PRIVILEGE = "42501";

/** Where a database is that may or may not be Freehold's own. */
export type DatabaseAddress = { readonly kind: "embedded"; readonly folder: string } | { readonly kind: "postgres"; readonly url: string };

/** Reads any database, and can change nothing in it: one transaction that the engine itself holds to reading. */
export interface DatabaseReader {
  /** The rows, or undefined where the role that reads may not see them. Names in what the engine writes are always qualified. */
  rows<R>(text: string, values?: readonly unknown[]): Promise<readonly R[] | undefined>;
}

/**
 * Runs `work` on a database in one read-only transaction, which is rolled back. Any role will do. The embedded one must not be served by
 * another process. Throws `dependency_unavailable` or `store_locked` when it cannot be opened.
 */
export async function readDatabase<T>(address: DatabaseAddress, work: (reader: DatabaseReader) => Promise<T>): Promise<T> {
  const opened = await open(address);
  const { client } = opened;
  try {
    await client.query(`begin transaction isolation level repeatable read read only;
      set local search_path = pg_catalog; set local statement_timeout = ${STATEMENT_TIMEOUT_MS}; set local row_security = on`);
    return await work({ rows: (text, values) => rowsOf(client, text, values) });
  } catch (error) {
    throw toReadFault(error);
  } finally {
    await client.query("rollback").catch(() => undefined); // a lost connection has ended the transaction as well
    await opened.close();
  }
}

/** What is refused for want of rights is skipped; the transaction goes on. */
async function rowsOf<R>(client: pg.Client, text: string, values: readonly unknown[] = []): Promise<readonly R[] | undefined> {
  await client.query("savepoint reading");
  try {
    const { rows } = await client.query<R & pg.QueryResultRow>(text, [...values]);
    return rows;
  } catch (error) {
    if (sqlState(error) !== INSUFFICIENT_PRIVILEGE) throw error;
    await client.query("rollback to savepoint reading");
    return undefined;
  }
}

async function open(address: DatabaseAddress): Promise<{ readonly client: pg.Client; close(): Promise<void> }> {
  const watched = (client: pg.Client): pg.Client => client.on("error", () => {}); // the query that is under way fails with it
  if (address.kind === "postgres") {
    const client = watched(
      new pg.Client({ connectionString: address.url, connectionTimeoutMillis: CONNECT_TIMEOUT_MS, application_name: "freehold-lint" }),
    );
    await client.connect().catch((cause: unknown) => {
      const reason = cause instanceof Error ? cause.message : String(cause);
      const detail = `Cannot connect to PostgreSQL: ${reason}. Check --database-url and that the server runs.`;
      throw new Fault("dependency_unavailable", detail, { cause, public: { detail } });
    });
    return { client, close: () => client.end() };
  }
  if (!existsSync(path.join(address.folder, "pg"))) {
    const detail = `There is no embedded database in ${address.folder}. Name its folder with --data, or a server with --database-url.`;
    throw new Fault("dependency_unavailable", detail, { public: { detail } });
  }
  const lock = lockFolder(address.folder);
  const server = new PgliteServer(path.join(address.folder, "pg"));
  const close = async (): Promise<void> => {
    await server.close();
    lock.release();
  };
  try {
    await server.start();
    const client = watched(new pg.Client({ user: "postgres", database: "postgres", stream: () => server.connect() }));
    await client.connect();
    return { client, close: () => client.end().then(close) };
  } catch (error) {
    await close();
    throw error;
  }
}

/** Who reads is the operator: the engine's own words may be shown. */
function toReadFault(error: unknown): Fault {
  const fault = toDataFault(error);
  if (sqlState(error) === undefined || fault === error) return fault;
  const detail = `The database could not be read: ${error instanceof Error ? error.message : ""}.`;
  return new Fault("dependency_unavailable", fault.message, { cause: error, public: { detail } });
}
