import type pg from "pg";
import { type DataModel, Fault } from "../../kernel/index.ts";
import { bootstrap } from "./bootstrap.ts";
import type { DataPorts } from "./data-store.ts";
import { type Engine, noDatabases, SEARCH_PATH, searchPathOf } from "./engine.ts";
import { createSchema, createSearch, dropDatabase, dropSchema, schemaTarget, sharedTarget } from "./home-builder.ts";
import { dataModelOf, type HomeModel, type HomeNames, homeNames, homePassword } from "./home.ts";
import { rolesOf } from "./roles.ts";
import type { TablesOf } from "./table-list.ts";
import { applyStep, type TablePlace } from "./tables/apply-step.ts";
import type { NumberedStep, TableSet } from "./tables/define-tables.ts";

/** Changes of homes are committed one after the other, in the order of their epochs. */
const HOMES_LOCK = 7_160_242_020;

/** The rows of one tenant in one home: the database where it is not the installation's, and its tables. */
export interface RowsPlace {
  readonly database: string | undefined;
  readonly tables: TablesOf;
}

/** Builds and removes what a tenant's home is made of, as the administrator. Which home is the tenant's is another matter. */
export class HomeKeeper {
  readonly #engine: Engine;
  readonly #ports: DataPorts;
  readonly #tables: TableSet;

  constructor(engine: Engine, ports: DataPorts, tables: TableSet) {
    this.#engine = engine;
    this.#ports = ports;
    this.#tables = tables;
  }

  names(tenant: string): HomeNames {
    return homeNames(this.#engine.installation.database, tenant);
  }

  /** Makes the objects of a home, empty, with the application's tables as far as the shared rows have them. Throws where the engine cannot. */
  async build(tenant: string, model: HomeModel): Promise<void> {
    if (model === "row") return;
    this.assertPossible(model);
    await this.#engine.administer(async (client) => {
      if (model === "row_search") return await createSearch(client, this.#engine.installation, this.names(tenant).search, tenant);
      const steps = this.#stepsUpTo(await sharedVersion(client));
      if (model === "database") await this.#buildDatabase(client, tenant, steps);
      else await this.#buildSchema(client, tenant, steps);
    });
  }

  /** Removes the objects of a home with all rows in it. */
  async demolish(tenant: string, model: HomeModel): Promise<void> {
    const names = this.names(tenant);
    if (model === "schema" || model === "row_search") {
      await this.#engine.administer((client) => this.demolishOn(client, tenant, model));
    }
    if (model === "database" && this.#engine.kind === "postgres") {
      await this.#engine.administer((client) => dropDatabase(client, names.database, rolesOf(names.database)));
    }
  }

  /** The same on a connection of the administrator's that is there already: embedded there is no second one. */
  async demolishOn(client: pg.ClientBase, tenant: string, model: "schema" | "row_search"): Promise<void> {
    const names = this.names(tenant);
    if (model === "schema") await dropSchema(client, names);
    else await client.query(`drop schema if exists ${names.search} cascade`);
  }

  assertPossible(model: HomeModel): void {
    if (model !== "database" || this.#engine.kind === "postgres") return;
    throw noDatabases();
  }

  /** Where a tenant's rows are when this is its home: the database, and how to find its tables there. */
  rowsOf(tenant: string, model: HomeModel): RowsPlace {
    const names = this.names(tenant);
    if (model === "schema") return { database: undefined, tables: { schema: names.schema } };
    if (model === "database") return { database: names.database, tables: { app: rolesOf(names.database).app } };
    const { app } = this.#engine.installation.roles;
    return { database: undefined, tables: model === "row_search" ? { app, search: names.search } : { app } };
  }

  /** How the steps of an application's tables are applied to a home and noted there. */
  placeOf(tenant: string, model: DataModel): TablePlace {
    const { roles } = this.#engine.installation;
    if (model === "row") return { target: sharedTarget(roles), owner: roles.owner, searchPath: SEARCH_PATH, note: noteShared };
    const names = this.names(tenant);
    if (model === "database") {
      const own = rolesOf(names.database);
      return { target: sharedTarget(own), owner: own.owner, searchPath: SEARCH_PATH, note: noteShared };
    }
    return {
      target: schemaTarget(names, tenant),
      owner: names.owner,
      searchPath: searchPathOf(names.schema),
      note: ({ version }) => this.noteHomeSql(tenant, version),
    };
  }

  /** SQL that notes how far the tables of a home are. */
  noteHomeSql(tenant: string, version: number): string {
    return `update freehold.homes set tables_version = ${version}, tables_digest = '${this.#tables.digestAt(version)}' where tenant_id = '${tenant}'`;
  }

  async #buildSchema(client: pg.ClientBase, tenant: string, steps: readonly NumberedStep[]): Promise<void> {
    const password = homePassword(this.#ports.keyring, tenant, "login");
    await createSchema(client, this.#engine.installation, this.names(tenant), { tenant, password, random: this.#ports.random });
    for (const step of steps) await applyStep(client, step, this.placeOf(tenant, "schema"));
  }

  async #buildDatabase(client: pg.ClientBase, tenant: string, steps: readonly NumberedStep[]): Promise<void> {
    const { database } = this.names(tenant);
    const { rowCount } = await client.query("select from pg_catalog.pg_database where datname = $1", [database]);
    if (rowCount === 0) await client.query(`create database ${database}`);
    const { keyring } = this.#ports;
    const passwords = { app: homePassword(keyring, tenant, "app"), system: homePassword(keyring, tenant, "system") };
    await this.#engine.administer((own) => bootstrap(own, { ...this.#ports, passwords, appEnters: true }), database);
    await this.#engine.administer(async (own) => {
      const there = await sharedVersion(own);
      for (const step of steps) if (step.version > there) await applyStep(own, step, this.placeOf(tenant, "database"));
    }, database);
  }

  #stepsUpTo(version: number): readonly NumberedStep[] {
    const newest = this.#tables.steps.length;
    if (version <= newest) return this.#tables.steps.slice(0, version);
    const detail = `The shared tables are at step ${version}; this program declares ${newest}. Use the newer program.`;
    throw new Fault("invalid_settings", detail, { public: { detail } });
  }
}

/** How far the application's tables are in shared rows, or in a database of one tenant. */
export async function sharedVersion(client: pg.ClientBase): Promise<number> {
  const { rows } = await client.query<{ version: number }>("select coalesce(max(version), 0) as version from freehold.table_steps");
  return rows[0]?.version ?? 0;
}

/** SQL that makes this the tenant's home from the commit on, and tells every process. It belongs into a transaction of its own or the move's. */
export function setHomeSql(tenant: string, model: HomeModel, names: HomeNames, options: { readonly closing?: boolean } = {}): string {
  const login = model === "schema" ? `'${names.login}'` : "null";
  return `select pg_catalog.pg_advisory_xact_lock(${HOMES_LOCK});
insert into freehold.homes as h (tenant_id, model, own_search, epoch, closing, login)
  values ('${tenant}', '${dataModelOf(model)}', ${model === "row_search"}, nextval('freehold.home_epoch'), ${options.closing ?? false}, ${login})
  on conflict (tenant_id) do update set model = excluded.model, own_search = excluded.own_search, epoch = excluded.epoch, closing = excluded.closing, login = excluded.login;
with changed as (update freehold.tenants set version = version + 1, updated_at = now() where uuid = '${tenant}' returning id)
  insert into freehold.registry_changes (kind, key) select 'tenant', id from changed; -- a move has silenced the trigger that would say so
select pg_catalog.pg_notify('freehold_homes', ''), pg_catalog.pg_notify('freehold_registry', '')`;
}

function noteShared({ version, name, digest }: NumberedStep): string {
  return `insert into freehold.table_steps (version, name, digest) values (${version}, '${name}', '${digest}')`;
}
