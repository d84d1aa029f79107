import { createHash } from "node:crypto";
import type pg from "pg";
import { Fault, type Keyring, type Random } from "../../kernel/index.ts";
import { sqlState, toDataFault } from "./data-fault.ts";
import { hardeningSql, rolesSql } from "./hardening.ts";
import { lifecyclePoliciesSql } from "./lifecycle-policies.ts";
import { MIGRATIONS } from "./migrations/index.ts";
import type { MigrationTarget } from "./migrations/migration.ts";
import { assertRootKey, noteRootKey, ROOT_KEY_CHECK_TABLE } from "./root-key-check.ts";
import { type Roles, rolesOf } from "./roles.ts";
import { scramVerifier } from "./scram.ts";
import { sharedTablesSql } from "./shared-tables.ts";
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
  /** Whether whoever opened it may make roles, schemas and databases, and whether as a superuser. */
  readonly administrator: "superuser" | "owner" | "none";
}

/** What setting up needs besides a connection. */
export interface BootstrapOptions {
  readonly keyring: Keyring;
  readonly random: Random;
  readonly passwords: { readonly app: string; readonly system: string };
  /** Whether the application's role logs in and enters tenants by itself. */
  readonly appEnters: boolean;
}

interface Administrator {
  readonly database: string;
  readonly role: string;
  readonly superuser: boolean;
  /** Whether it may take advisory locks; once hardened, only superusers and the owner may. */
  readonly locks: boolean;
  readonly version: string;
}

/**
 * Brings the database behind this connection to what this program needs: roles, hardening, tenant context and migrations.
 * A connection as the application's or the system's own role changes nothing and only reads what is there.
 * The connection is not used again: it holds a lock, so that programs that start at once do this one after the other.
 */
export async function bootstrap(client: pg.ClientBase, options: BootstrapOptions): Promise<Installation> {
  try {
    const who = await one<Administrator>(
      client,
      `select current_database() as database, current_user::text as role, r.rolsuper as superuser,
         has_function_privilege('pg_catalog.pg_advisory_lock(bigint)', 'execute') as locks,
         current_setting('server_version_num') as version from pg_catalog.pg_roles r where r.rolname = current_user`,
    );
    if (Number(who.version) < SERVER_VERSION_MIN) {
      throw unusable(`PostgreSQL ${who.version} is too old; version 15 or newer is needed.`);
    }
    const roles = rolesOf(who.database);
    if (who.role === roles.app || who.role === roles.system) return await readInstallation(client, who.database, roles);
    await client.query(`${who.locks ? "" : `set role ${roles.owner};`} select pg_catalog.pg_advisory_lock(${MIGRATION_LOCK}); reset role`);
    return await install(client, who, roles, options);
  } catch (error) {
    throw toSetUpFault(error);
  }
}

/** Who sets up is the operator, and no tenant's value is in sight: the engine's own words may be shown. */
function toSetUpFault(error: unknown): Fault {
  const fault = toDataFault(error);
  if (sqlState(error) === undefined || fault === error || fault.code === "storage_full") return fault;
  return new Fault("dependency_unavailable", fault.message, {
    cause: error,
    public: { detail: `The database could not be set up: ${error instanceof Error ? error.message : ""}.` },
  });
}

async function install(client: pg.ClientBase, who: Administrator, roles: Roles, options: BootstrapOptions): Promise<Installation> {
  const { database, superuser } = who;
  const known = await knownMigrations(client, roles);
  assertNotNewer(known); // before anything of a newer program's is changed
  if (known.size > 0) await assertRootKey(client, roles, options.keyring);
  const verifiers = {
    app: scramVerifier(options.passwords.app, options.random),
    system: scramVerifier(options.passwords.system, options.random),
  };
  await client.query(rolesSql(roles, database, verifiers));
  await client.query(schemasSql(roles));
  const vector = await installVector(client, known.size === 0);
  if (superuser) await client.query(hardeningSql(roles));
  const mode = superuser ? "guarded" : await contextMode(client, roles);
  await client.query(`set role ${roles.owner}`);
  await client.query(contextSql(mode, roles, options.keyring, options.appEnters));
  const version = await migrate(client, known, { roles, vector });
  await client.query(lifecyclePoliciesSql(roles));
  await noteRootKey(client, options.keyring, options.random);
  await client.query(sharedTablesSql(roles));
  return { database, roles, mode, vector, version, administrator: superuser ? "superuser" : "owner" };
}

function schemasSql(roles: Roles): string {
  return `
create schema if not exists freehold authorization ${roles.owner};
create schema if not exists freehold_app authorization ${roles.owner};
create schema if not exists freehold_private authorization ${roles.owner};
set role ${roles.owner};
revoke all on schema freehold, freehold_app, freehold_private from public;
grant usage on schema freehold, freehold_app to ${roles.app}, ${roles.system};
create table if not exists freehold_private.context_key (id integer primary key, inner_pad bytea not null, outer_pad bytea not null);
${ROOT_KEY_CHECK_TABLE}
create table if not exists freehold.migrations (
  version integer primary key, name text not null, digest text not null, applied_at timestamptz not null default now());
grant select on freehold.migrations to ${roles.app}, ${roles.system};
reset role;`;
}

/** Takes pgvector in with the first set-up only: the tables that were made without it stay as they are. */
async function installVector(client: pg.ClientBase, first: boolean): Promise<boolean> {
  if (first) {
    const { possible } = await one<{ possible: boolean }>(
      client,
      `select exists (select from pg_catalog.pg_available_extension_versions v where v.name = 'vector' and (v.trusted or not v.superuser
         or (select r.rolsuper from pg_catalog.pg_roles r where r.rolname = current_user))) as possible`,
    );
    if (possible) await client.query("create extension if not exists vector with schema freehold");
  }
  return (await one<{ vector: boolean }>(client, `select ${HAS_VECTOR} as vector`)).vector;
}

const HAS_VECTOR = `exists (select from pg_catalog.pg_extension e join pg_catalog.pg_namespace n on n.oid = e.extnamespace
  where e.extname = 'vector' and n.nspname = 'freehold')`;

async function contextMode(client: pg.ClientBase, roles: Roles): Promise<ContextMode> {
  const { open } = await one<{ open: boolean }>(
    client,
    `select has_function_privilege('${roles.app}', 'pg_catalog.set_config(text, text, boolean)', 'execute') as open`,
  );
  return open ? "signed" : "guarded";
}

async function migrate(client: pg.ClientBase, known: ReadonlyMap<number, string>, target: MigrationTarget): Promise<number> {
  for (const migration of MIGRATIONS) {
    const text = migration.sql(target);
    const digest = createHash("sha256").update(text).digest("hex");
    const applied = known.get(migration.version);
    if (applied === digest) continue;
    if (applied !== undefined) {
      throw unusable(`Migration ${migration.version} (${migration.name}) in the database is not the one of this program.`);
    }
    await client.query(
      `begin; ${text}; insert into freehold.migrations (version, name, digest) values (${migration.version}, '${migration.name}', '${digest}'); commit`,
    );
  }
  return MIGRATIONS.at(-1)?.version ?? 0;
}

/** The migrations in the database, none where it has not been set up yet. */
async function knownMigrations(client: pg.ClientBase, roles: Roles): Promise<Map<number, string>> {
  const { begun } = await one<{ begun: boolean }>(
    client,
    "select exists (select from pg_catalog.pg_namespace where nspname = 'freehold') as begun",
  );
  if (!begun) return new Map();
  await client.query(`set role ${roles.owner}`); // who sets up need not be allowed to read
  const { there } = await one<{ there: boolean }>(client, "select to_regclass('freehold.migrations') is not null as there");
  const known = there ? await appliedMigrations(client) : new Map<number, string>();
  await client.query("reset role");
  return known;
}

async function appliedMigrations(client: pg.ClientBase): Promise<Map<number, string>> {
  const { rows } = await client.query<{ version: number; digest: string }>("select version, digest from freehold.migrations");
  return new Map(rows.map(({ version, digest }) => [version, digest]));
}

function assertNotNewer(applied: ReadonlyMap<number, string>): void {
  const newest = MIGRATIONS.at(-1)?.version ?? 0;
  const found = Math.max(newest, ...applied.keys());
  if (found > newest) throw unusable(`The database has schema version ${found}; this program knows up to ${newest}. Use a newer Freehold.`);
}

async function readInstallation(client: pg.ClientBase, database: string, roles: Roles): Promise<Installation> {
  const applied = await appliedMigrations(client).catch((error: unknown) => {
    if (UNDEFINED.has(sqlState(error) ?? "")) return new Map<number, string>();
    throw error;
  });
  assertNotNewer(applied);
  const version = MIGRATIONS.at(-1)?.version ?? 0;
  if (!applied.has(version)) {
    throw unusable("The database has not been set up for this version. Start Freehold once with the URL of an administrator.");
  }
  const found = await one<{ mode: ContextMode; vector: boolean }>(
    client,
    `select freehold.context_mode() as mode, ${HAS_VECTOR} as vector`,
  );
  return { database, roles, version, administrator: "none", ...found };
}

/** undefined_table, invalid_schema_name, insufficient_privilege: not set up, or not for this role. */
const UNDEFINED: ReadonlySet<string> = new Set(["42P01", "3F000", "42501"]);

async function one<R extends pg.QueryResultRow>(client: pg.ClientBase, text: string): Promise<R> {
  const { rows } = await client.query<R>(text);
  const row = rows[0];
  if (!row) throw new Fault("dependency_unavailable", "the database gave no row");
  return row;
}

function unusable(detail: string): Fault {
  return new Fault("dependency_unavailable", detail, { public: { detail } });
}
