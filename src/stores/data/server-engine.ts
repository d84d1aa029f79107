import pg from "pg";
import { Fault } from "../../kernel/index.ts";
import { bootstrap, type BootstrapOptions, type Installation } from "./bootstrap.ts";
import { ConnectionBudget, type PoolSpec } from "./connection-budget.ts";
import type { DataPorts } from "./data-store.ts";
import { ACQUIRE_TIMEOUT_MS, type Engine, notAdministrator, type Route, SEARCH_PATH, searchPathOf, searchPathWith } from "./engine.ts";
import { type Home, homeNames, homePassword } from "./home.ts";
import { createListener } from "./listener.ts";
import { assertOwnSession } from "./own-session.ts";
import { rolesOf } from "./roles.ts";
import { prepareConnection } from "./runner.ts";
import type { Statement } from "./sql.ts";
import { createContextSigner } from "./tenant-context.ts";

/** A PostgreSQL server, by the URL of an administrator of the database (or, once it is set up, of the application's own role). */
export interface ServerLocation {
  readonly kind: "postgres";
  readonly url: string;
  /** The most connections of this process, for all tenants and the platform together. */
  readonly connectionsMax: number;
  readonly statementTimeoutMs?: number;
}

const STATEMENT_TIMEOUT_MS = 30_000;
const LOCK_TIMEOUT_MS = 5_000;
const IDLE_TIMEOUT_MS = 60_000;

const ENTER: Statement = { name: "fh_enter", text: "select freehold.enter($1, $2)", values: ["", 0] };

/** How connections of one kind log in. */
interface Login {
  readonly database: string;
  readonly role: string;
  readonly password: string;
  readonly searchPath: string;
  readonly preambles: readonly Statement[];
}

/** Connects to the server and sets the database up. Throws `dependency_unavailable`. */
export async function openServer(location: ServerLocation, ports: DataPorts): Promise<Engine> {
  const { keyring } = ports;
  const passwords = {
    app: keyring.key("database-password-app").toString("base64url"),
    system: keyring.key("database-password-system").toString("base64url"),
  };
  const installation = await setUp(location.url, { ...ports, passwords, appEnters: true });
  const { roles, database, mode } = installation;
  const connect = (login: Login) => () => openConnection(location, login);
  const base = { database, searchPath: SEARCH_PATH };
  const app = { ...base, role: roles.app, password: passwords.app, preambles: [ENTER] };
  const platformLogin = { ...base, role: roles.system, password: passwords.system, preambles: [] };
  for (const login of [app, platformLogin]) await assertLetIn(location, login);
  const rows = poolOf("row", undefined, connect(app));
  const platform = poolOf("system", undefined, connect(platformLogin));
  const sign = createContextSigner(mode, keyring);
  const systemMax = Math.max(2, Math.floor(location.connectionsMax / 4));
  const tenantsMax = Math.max(2, location.connectionsMax - systemMax);
  const bounds = { acquireTimeoutMs: ACQUIRE_TIMEOUT_MS, idleTimeoutMs: IDLE_TIMEOUT_MS, report: ports.report };
  const tenants = new ConnectionBudget({ ...bounds, connectionsMax: tenantsMax, perTenantMax: Math.ceil(tenantsMax / 2) });
  const system = new ConnectionBudget({ ...bounds, connectionsMax: systemMax, perTenantMax: systemMax });
  const listener = createListener({ kind: "dedicated", url: asRole(location.url, roles.system, passwords.system), report: ports.report });
  const own = new OwnRoutes(installation, ports, passwords, connect);
  return {
    kind: "postgres",
    installation,
    tenants,
    system,
    route: (home, seen) =>
      home.model === "row" ? { pool: rows, preamble: { ...ENTER, values: [sign(home.tenant), seen] } } : own.of(home, sign, seen),
    ownSystem: (tenant) => own.system(tenant),
    nobody: { pool: rows, preamble: undefined },
    platform: { pool: platform, preamble: undefined },
    listener,
    administer: (work, where) => administer(location.url, installation, work, where),
    recover: () => {},
    close: async () => void (await Promise.all([listener.close(), tenants.close(), system.close()])),
  };
}

/** The ways to the rows of tenants with logins of their own. They are made from the tenant's id alone, so none has to be remembered. */
class OwnRoutes {
  readonly #installation: Installation;
  readonly #ports: DataPorts;
  readonly #passwords: { readonly app: string };
  readonly #connect: (login: Login) => () => Promise<pg.Client>;

  constructor(
    installation: Installation,
    ports: DataPorts,
    passwords: { readonly app: string },
    connect: (login: Login) => () => Promise<pg.Client>,
  ) {
    this.#installation = installation;
    this.#ports = ports;
    this.#passwords = passwords;
    this.#connect = connect;
  }

  of({ tenant, model, epoch }: Home, sign: (tenant: string) => string, seen: number): Route {
    const names = homeNames(this.#installation.database, tenant);
    const key = `${model} ${tenant} ${epoch}`; // a tenant that comes back does not meet connections of its last stay
    if (model === "schema") {
      const password = homePassword(this.#ports.keyring, tenant, "login");
      const searchPath = searchPathOf(names.schema);
      const connect = this.#connect({ database: this.#installation.database, role: names.login, password, searchPath, preambles: [] });
      return { pool: poolOf(key, tenant, connect), preamble: undefined };
    }
    if (model === "row_search") {
      const { database, roles } = this.#installation;
      const searchPath = searchPathWith(names.search);
      const password = this.#passwords.app;
      const connect = this.#connect({ database, role: roles.app, password, searchPath, preambles: [ENTER] });
      return { pool: poolOf(key, tenant, connect), preamble: { ...ENTER, values: [sign(tenant), seen] } };
    }
    const role = rolesOf(names.database).app;
    const password = homePassword(this.#ports.keyring, tenant, "app");
    const connect = this.#connect({ database: names.database, role, password, searchPath: SEARCH_PATH, preambles: [ENTER] });
    return { pool: poolOf(key, tenant, connect), preamble: { ...ENTER, values: [sign(tenant), 0] } };
  }

  system(tenant: string): Route {
    const { database } = homeNames(this.#installation.database, tenant);
    const password = homePassword(this.#ports.keyring, tenant, "system");
    const connect = this.#connect({ database, role: rolesOf(database).system, password, searchPath: SEARCH_PATH, preambles: [] });
    return { pool: poolOf(`system ${tenant}`, tenant, connect), preamble: undefined };
  }
}

function poolOf(key: string, tenant: string | undefined, connect: () => Promise<pg.Client>): PoolSpec {
  return { key, tenant, connect };
}

async function openConnection(location: ServerLocation, login: Login): Promise<pg.Client> {
  const client = new pg.Client({
    connectionString: asRole(location.url, login.role, login.password, login.database),
    connectionTimeoutMillis: ACQUIRE_TIMEOUT_MS,
    application_name: "freehold",
  });
  client.on("error", () => {}); // while no statement is under way nobody else listens, and its loss would end the process
  try {
    await client.connect();
    await settle(client, login, location.statementTimeoutMs ?? STATEMENT_TIMEOUT_MS);
    await prepareConnection(client, login.preambles);
    return client;
  } catch (error) {
    await client.end().catch(() => undefined); // it failed: that is what is told
    throw error;
  }
}

/** That the server knows the login, told to whoever starts the program: later on it would be a failure without a reason. */
async function assertLetIn(location: ServerLocation, login: Login): Promise<void> {
  try {
    await (await openConnection(location, login)).end();
  } catch (error) {
    if (error instanceof Fault) throw error;
    const reason = error instanceof Error ? error.message : String(error);
    const detail =
      `PostgreSQL at ${new URL(location.url).host} does not let in the role ${login.role}, which Freehold made for itself: ${reason}. ` +
      "A pooler in between has to look up passwords in the database (PgBouncer: auth_user and auth_query).";
    throw new Fault("dependency_unavailable", detail, { cause: error, public: { detail } });
  }
}

/**
 * What holds for the whole session, in one round trip, and whose it is: a connection is given out for one login, and something between here
 * and the server could have made it another's. Not as parameters of the start, which poolers refuse.
 */
async function settle(client: pg.Client, { role, database, searchPath }: Login, statementTimeoutMs: number): Promise<void> {
  const answers = await client.query<{ who: string; place: string }>(
    `set search_path = ${searchPath}; set lock_timeout = ${LOCK_TIMEOUT_MS}; set statement_timeout = ${statementTimeoutMs};
     set idle_in_transaction_session_timeout = ${STATEMENT_TIMEOUT_MS};
     select session_user::text as who, pg_catalog.current_database()::text as place`,
  );
  const found = [answers].flat().at(-1)?.rows[0]; // one answer for each statement
  if (found?.who === role && found.place === database) return;
  throw new Fault("isolation_violation", `a connection that logged in as ${role} is ${found?.who ?? "nobody"}`);
}

async function administer<T>(
  url: string,
  { administrator }: Installation,
  work: (client: pg.ClientBase) => Promise<T>,
  database?: string,
): Promise<T> {
  if (administrator === "none") throw notAdministrator();
  const place = new URL(url);
  if (database !== undefined) place.pathname = `/${database}`;
  const client = new pg.Client({
    connectionString: place.href,
    connectionTimeoutMillis: ACQUIRE_TIMEOUT_MS,
    application_name: "freehold-admin",
  });
  client.on("error", () => {}); // the query that is under way fails with it
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}

/** Connects as whoever the URL names, and sets up the database it names. */
async function setUp(url: string, options: BootstrapOptions): Promise<Installation> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: ACQUIRE_TIMEOUT_MS, application_name: "freehold-setup" });
  client.on("error", () => {}); // the query that is under way fails with it
  try {
    await client.connect();
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new Fault("dependency_unavailable", `cannot connect to PostgreSQL: ${reason}`, {
      cause: error,
      public: { detail: `Cannot connect to PostgreSQL at ${new URL(url).host}: ${reason}. Check --database-url and that the server runs.` },
    });
  }
  try {
    await assertOwnSession(client, url);
    return await bootstrap(client, options);
  } finally {
    await client.end();
  }
}

function asRole(url: string, role: string, password: string, database?: string): string {
  const changed = new URL(url);
  changed.username = role;
  changed.password = password;
  if (database !== undefined) changed.pathname = `/${database}`;
  return changed.href;
}
