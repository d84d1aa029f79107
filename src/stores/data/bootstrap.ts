import { createHash } from "node:crypto";
import pg from "pg";
import { Fault, type Keyring, type Random } from "../../kernel/index.ts";
import { hardeningSql, rolesSql } from "./hardening.ts";
import { MIGRATIONS } from "./migrations/index.ts";
import type { MigrationTarget } from "./migrations/migration.ts";
import { type Roles, rolesOf } from "./roles.ts";
import { scramVerifier } from "./scram.ts";
import { type ContextMode, contextSql } from "./tenant-context.ts";

/** The oldest server whose row security and views (security_invoker) are what the design relies on. */
const SERVER_VERSION_MIN = 150_000;
/** Any number of our own: two programs that start at once migrate one after the other. */
const MIGRATION_LOCK = 7_160_242_019;

/** What the schema in a database turned out to be. */
export interface Installation {
  readonly database: string;
  readonly roles: Roles;
  readonly mode: ContextMode;
  readonly vector: boolean;
  /** The highest migration applied. */
  readonly version: number;
}

export interface BootstrapOptions {
  readonly keyring: Keyring;
  readonly random: Random;
  readonly passwords: { readonly app: string; readonly system: string };
  /** Whether the application's role logs in and enters tenants by itself. */
  readonly appEnters: boolean;
}

/**
 * Brings the database behind this connection to what this program needs: roles, hardening, tenant context and migrations.
 * A connection as the application's or the system's own role changes nothing and only reads what is there.
 */
export async function bootstrap(client: pg.ClientBase, options: BootstrapOptions): Promise<Installation> {
  const who = await one<{ database: string; role: string; superuser: boolean; version: string }>(
    client,
    `select current_database() as database, current_user::text as role, r.rolsuper as superuser,
       current_setting('server_version_num') as version from pg_catalog.pg_roles r where r.rolname = current_user`,
  );
  if (Number(who.version) < SERVER_VERSION_MIN) {
    throw unusable(`PostgreSQL ${who.version} is too old; version 15 or newer is needed.`);
  }
  const roles = rolesOf(who.database);
  if (who.role === roles.app || who.role === roles.system) return await readInstallation(client, who.database, roles);
  await client.query(rolesLock(who.superuser, roles));
  try {
    return await install(client, who.database, roles, who.superuser, options);
  } finally {
    await client.query("reset role");
    await client.query(`select pg_catalog.pg_advisory_unlock(${MIGRATION_LOCK})`);
  }
}

function rolesLock(superuser: boolean, roles: Roles): string {
  // once hardened, only a superuser and the owner may take locks
  return `${superuser ? "" : `set role ${roles.owner}; `}select pg_catalog.pg_advisory_lock(${MIGRATION_LOCK})${superuser ? "" : "; reset role"}`;
}

async function install(
  client: pg.ClientBase,
  database: string,
  roles: Roles,
  superuser: boolean,
  options: BootstrapOptions,
): Promise<Installation> {
  const verifiers = {
    app: scramVerifier(options.passwords.app, options.random),
    system: scramVerifier(options.passwords.system, options.random),
  };
  await client.query(rolesSql(roles, database, verifiers));
  await client.query(schemasSql(roles));
  const vector = await installVector(client);
  if (superuser) await client.query(hardeningSql(roles, database));
  const mode = await contextMode(client, roles);
  await client.query(`set role ${roles.owner}`);
  await client.query(contextSql(mode, roles, options.keyring, options.appEnters));
  const version = await migrate(client, { roles, vector });
  return { database, roles, mode, vector, version };
}

function schemasSql(roles: Roles): string {
  return `
create schema if not exists freehold authorization ${roles.owner};
create schema if not exists freehold_private authorization ${roles.owner};
revoke all on schema freehold, freehold_private from public;
grant usage on schema freehold to ${roles.app}, ${roles.system};
grant execute on function pg_catalog.pg_advisory_lock(bigint), pg_catalog.pg_advisory_unlock(bigint) to ${roles.owner};
set role ${roles.owner};
create table if not exists freehold_private.context_key (id integer primary key, inner_pad bytea not null, outer_pad bytea not null);
create table if not exists freehold.migrations (
  version integer primary key, name text not null, digest text not null, applied_at timestamptz not null default now());
grant select on freehold.migrations to ${roles.app}, ${roles.system};
reset role;`;
}

async function installVector(client: pg.ClientBase): Promise<boolean> {
  const { available } = await one<{ available: boolean }>(
    client,
    `select exists (select from pg_catalog.pg_available_extensions where name = 'vector') as available`,
  );
  if (available) await client.query("create extension if not exists vector with schema freehold");
  return available;
}

async function contextMode(client: pg.ClientBase, roles: Roles): Promise<ContextMode> {
  const { open } = await one<{ open: boolean }>(
    client,
    `select has_function_privilege('${roles.app}', 'pg_catalog.set_config(text, text, boolean)', 'execute') as open`,
  );
  return open ? "signed" : "guarded";
}

async function migrate(client: pg.ClientBase, target: MigrationTarget): Promise<number> {
  const applied = await appliedMigrations(client);
  for (const migration of MIGRATIONS) {
    const text = migration.sql(target);
    const digest = createHash("sha256").update(text).digest("hex");
    const known = applied.get(migration.version);
    if (known === digest) continue;
    if (known !== undefined) throw unusable(`Migration ${migration.version} (${migration.name}) in the database is not the one of this program.`);
    await client.query(`begin; ${text}; insert into freehold.migrations (version, name, digest) values (${migration.version}, '${migration.name}', '${digest}'); commit`);
  }
  return assertNotNewer(applied);
}

async function appliedMigrations(client: pg.ClientBase): Promise<Map<number, string>> {
  const { rows } = await client.query<{ version: number; digest: string }>("select version, digest from freehold.migrations");
  return new Map(rows.map(({ version, digest }) => [version, digest]));
}

function assertNotNewer(applied: ReadonlyMap<number, string>): number {
  const newest = MIGRATIONS.at(-1)?.version ?? 0;
  const found = Math.max(newest, ...applied.keys());
  if (found > newest) throw unusable(`The database has schema version ${found}; this program knows up to ${newest}. Use a newer Freehold.`);
  return newest;
}

async function readInstallation(client: pg.ClientBase, database: string, roles: Roles): Promise<Installation> {
  const applied = await appliedMigrations(client).catch(() => new Map<number, string>());
  const version = assertNotNewer(applied);
  if (!applied.has(version)) {
    throw unusable("The database has not been set up for this version. Start Freehold once with the URL of an administrator.");
  }
  const found = await one<{ mode: ContextMode; vector: boolean }>(
    client,
    `select freehold.context_mode() as mode, exists (select from pg_catalog.pg_type where typname = 'vector') as vector`,
  );
  return { database, roles, version, ...found };
}

async function one<R extends pg.QueryResultRow>(client: pg.ClientBase, text: string): Promise<R> {
  const { rows } = await client.query<R>(text);
  const row = rows[0];
  if (!row) throw new Fault("dependency_unavailable", "the database gave no row");
  return row;
}

function unusable(detail: string): Fault {
  return new Fault("dependency_unavailable", detail, { public: { detail } });
}
