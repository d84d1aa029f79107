import { randomBytes } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";
import pg from "pg";
import { parentOf } from "./child.ts";
import { startPostgres } from "../test/support/postgres-server.ts";

/** A database of its own for one bench. */
export interface BenchDatabase {
  readonly name: string;
  /** The URL of the administrator that Freehold is set up with: a superuser, unless another was asked for. */
  readonly url: string;
  /** The superuser's. */
  readonly superuserUrl: string;
}

/** A PostgreSQL server that ends with the stack. It does not wait for the disk: what is measured is work, not the machine's disk. */
export interface BenchServer {
  /** The process that all others of the server are children of. */
  readonly pid: number;
  /** A new, empty database, dropped with its roles when the stack ends. `plainAdministrator`: its administrator is no superuser. */
  create(options?: { readonly plainAdministrator?: boolean }): Promise<BenchDatabase>;
}

const PASSWORD = "bench";
const UNUSED_TRIES_MAX = 50;
const UNUSED_PAUSE_MS = 20;

export async function openPostgres(ends: AsyncDisposableStack): Promise<BenchServer> {
  const server = await startPostgres();
  ends.defer(() => server.stop());
  return {
    pid: await postmasterOf(server.url),
    async create({ plainAdministrator = false } = {}) {
      const name = `fhbench_${randomBytes(6).toString("hex")}`;
      const administrator = `${name}_administrator`;
      if (plainAdministrator) await administer(server.url, `create role ${administrator} login createrole password '${PASSWORD}'`);
      await administer(server.url, `create database ${name}${plainAdministrator ? ` owner ${administrator}` : ""}`);
      ends.defer(() => drop(server.url, name));
      const superuserUrl = inDatabase(server.url, name);
      const url = plainAdministrator ? asRole(superuserUrl, administrator, PASSWORD) : superuserUrl;
      return { name, url, superuserUrl };
    },
  };
}

async function postmasterOf(url: string): Promise<number> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    const { rows } = await client.query<{ pid: number }>("select pg_backend_pid() as pid");
    return parentOf(rows[0]?.pid ?? 0); // while the connection is open: its process ends with it
  } finally {
    await client.end();
  }
}

/** Runs SQL on a connection of its own. */
export async function administer(url: string, text: string, values?: readonly unknown[]): Promise<pg.QueryResult> {
  const client = new pg.Client({ connectionString: url });
  client.on("error", () => {}); // the statement that is under way fails with it
  await client.connect();
  try {
    return await client.query(text, values && [...values]);
  } finally {
    await client.end();
  }
}

/** The URL for another role of the same database. */
export function asRole(url: string, role: string, password: string): string {
  const changed = new URL(url);
  changed.username = role;
  changed.password = password;
  return changed.href;
}

function inDatabase(url: string, name: string): string {
  const changed = new URL(url);
  changed.pathname = `/${name}`;
  return changed.href;
}

async function drop(url: string, name: string): Promise<void> {
  await untilUnused(url, name);
  // those of tenants with a database of their own are named after the installation's
  const { rows: databases } = await administer(url, "select datname as database from pg_database where datname = $1 or datname like $2", [
    name,
    `${name}\\_d%`,
  ]);
  for (const { database } of databases as readonly { readonly database: string }[])
    await administer(url, `drop database ${database} with (force)`);
  const { rows } = await administer(url, "select rolname as role from pg_roles where rolname like $1", [`${name}\\_%`]);
  for (const { role } of rows as readonly { readonly role: string }[]) await administer(url, `drop role ${role}`);
}

/** A pool's end does not wait for its connections: what is dropped under them would be reported as a failure. */
async function untilUnused(url: string, name: string): Promise<void> {
  for (let tries = 1; tries <= UNUSED_TRIES_MAX; tries++) {
    const { rowCount } = await administer(url, "select from pg_stat_activity where datname = $1", [name]);
    if (rowCount === 0) return;
    await pause(UNUSED_PAUSE_MS);
  }
}
