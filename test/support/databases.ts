import { randomBytes } from "node:crypto";
import { rmSync } from "node:fs";
import { after } from "node:test";
import pg from "pg";
import { makeTemplate } from "./embedded-template.ts";
import { startPostgres } from "./postgres-server.ts";

/** Where the engines of a test run are: the URL of PostgreSQL's administrator, and the embedded folder to copy. */
export interface EngineAddresses {
  readonly postgres: string;
  readonly template: string;
}

/** The environment variable in which the global setup hands the addresses over. */
export const ENGINES_ENV = "FREEHOLD_TEST_ENGINES";

const PREFIX = "fhtest_";
const made: string[] = [];
const stops: (() => Promise<void> | void)[] = [];
let server: Promise<string> | undefined;
let template: Promise<string> | undefined;

// for the test file as a whole
after(async () => {
  for (const url of made.splice(0)) await dropDatabase(url);
  for (const stop of stops.splice(0).toReversed()) await stop();
});

/** The URL of the administrator of the run's PostgreSQL. Without a global setup, one is started for this test file alone. */
export function postgresUrl(): Promise<string> {
  server ??= (async () => {
    const handed = handedOver();
    if (handed) return handed.postgres;
    const started = await startPostgres();
    stops.push(() => started.stop());
    return started.url;
  })();
  return server;
}

/** The embedded folder that tests copy. Without a global setup, one is made for this test file alone. */
export function templateFolder(): Promise<string> {
  template ??= (async () => {
    const handed = handedOver();
    if (handed) return handed.template;
    const folder = await makeTemplate();
    stops.push(() => rmSync(folder, { recursive: true, force: true }));
    return folder;
  })();
  return template;
}

/** A new, empty database: its administrator's URL. It is dropped, with the roles named after it, when the test file has run. */
export async function freshDatabase(): Promise<string> {
  const name = `${PREFIX}${randomBytes(6).toString("hex")}`;
  const url = new URL(await postgresUrl());
  await asAdministrator(url.href, (client) => client.query(`create database ${name}`));
  url.pathname = `/${name}`;
  made.push(url.href);
  return url.href;
}

/**
 * A new, empty database whose administrator is no superuser: it owns the database and may make roles, as with hosted PostgreSQL.
 * Dropped like `freshDatabase`.
 */
export async function freshDatabaseOfOwner(): Promise<string> {
  const url = new URL(await freshDatabase());
  const name = url.pathname.slice(1);
  await asAdministrator(url.href, async (client) => {
    await client.query(`create role ${name}_zadmin login createrole nosuperuser password 'test'`);
    await client.query(`alter database ${name} owner to ${name}_zadmin`);
  });
  url.username = `${name}_zadmin`;
  url.password = "test";
  return url.href;
}

/** Runs `work` on a connection with this URL, and closes it. */
export async function asAdministrator<T>(url: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: url });
  client.on("error", () => {}); // the statement that is under way fails with it
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}

/** Drops the databases that test files did not get to drop. */
export async function removeLeftovers(url: string): Promise<void> {
  const { rows } = await asAdministrator(url, (client) =>
    client.query<{ name: string }>("select datname as name from pg_database where datname like $1", [`${PREFIX}%`]),
  );
  for (const { name } of rows) {
    const left = new URL(url);
    left.pathname = `/${name}`;
    await dropDatabase(left.href);
  }
}

function handedOver(): EngineAddresses | undefined {
  const text = process.env[ENGINES_ENV];
  return text ? (JSON.parse(text) as EngineAddresses) : undefined; // written by the global setup
}

async function dropDatabase(of: string): Promise<void> {
  const url = new URL(of);
  const name = url.pathname.slice(1);
  url.pathname = "/postgres";
  await asAdministrator(url.href, async (client) => {
    // those of tenants with a database of their own are named after the installation's
    const { rows: databases } = await client.query<{ database: string }>(
      "select datname as database from pg_database where datname = $1 or datname like $2 order by 1 desc",
      [name, `${name}\\_d%`],
    );
    for (const { database } of databases) await client.query(`drop database ${database} with (force)`);
    const { rows } = await client.query<{ role: string }>("select rolname as role from pg_roles where rolname like $1 order by 1", [
      `${name}\\_%`,
    ]);
    for (const { role } of rows) await client.query(`drop role ${role}`);
  });
}
