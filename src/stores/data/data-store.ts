import { chmodSync } from "node:fs";
import path from "node:path";
import pg from "pg";
import { Fault, type Keyring, type Random } from "../../kernel/index.ts";
import { bootstrap, type Installation } from "./bootstrap.ts";
import { lockFolder } from "./folder-lock.ts";
import { PgliteServer } from "./pglite-server.ts";
import { createListener, type Listener } from "./listener.ts";
import type { DataStore, SystemData } from "./port.ts";
import { prepareConnection, Runner, type RunnerEvents } from "./runner.ts";
import { proveIsolation } from "./self-test.ts";
import type { Statement } from "./sql.ts";
import { createContextSigner } from "./tenant-context.ts";
import { createTenantRows } from "./tenant-rows.ts";

/** Where the data is: in a folder (embedded), or in a PostgreSQL server. */
export type DataLocation =
  | { readonly kind: "embedded"; readonly folder: string; readonly exchangeTimeoutMs?: number }
  | { readonly kind: "postgres"; readonly url: string; readonly connectionsMax: number; readonly statementTimeoutMs?: number };

/** What a data store needs from outside. */
export interface DataPorts {
  readonly keyring: Keyring;
  readonly random: Random;
  /** Told of faults that no caller can be told of. */
  readonly report: (fault: Fault) => void;
}

const ACQUIRE_TIMEOUT_MS = 10_000;
const STATEMENT_TIMEOUT_MS = 30_000;
const LOCK_TIMEOUT_MS = 5_000;
const IDLE_TIMEOUT_MS = 60_000;
const SEARCH_PATH = "freehold, pg_catalog, pg_temp";

/** The two sides of the engine: connections, and what is sent in front of each statement. */
interface Engine {
  readonly app: pg.Pool;
  readonly system: pg.Pool;
  readonly installation: Installation;
  enter(context: string): Statement;
  readonly nobody: Statement | undefined;
  readonly platform: Statement | undefined;
  readonly listener: Listener;
  /** Called with each fault, so that the embedded engine can be restarted when its disk is full. */
  recover(fault: Fault): void;
  close(): Promise<void>;
}

/**
 * Opens the data store and proves its isolation. Throws `store_locked`, `storage_full`, `dependency_unavailable` or
 * `isolation_violation`; then nothing is left open.
 */
export async function createDataStore(location: DataLocation, ports: DataPorts): Promise<DataStore> {
  const engine = location.kind === "embedded" ? await openEmbedded(location, ports) : await openServer(location, ports);
  let failure: Fault | undefined;
  const events: RunnerEvents = {
    answered: () => {
      failure = undefined;
    },
    failed: (fault) => {
      if (fault.code === "dependency_unavailable" || fault.code === "storage_full") failure = fault;
      engine.recover(fault);
    },
  };
  const { mode } = engine.installation;
  const sign = createContextSigner(mode, ports.keyring);
  const tenant = (uuid: string): Runner => new Runner(engine.app, engine.enter(sign(uuid)), events);
  const systemRunner = new Runner(engine.system, engine.platform, events);
  const system: SystemData = {
    query: (statement) => systemRunner.query(statement),
    transaction: (work) => systemRunner.transaction(work),
    listen: (channel, onMessage, onGap) => engine.listener.listen(channel, onMessage, onGap),
  };
  try {
    await proveIsolation({ tenant, nobody: new Runner(engine.app, engine.nobody, events) }, mode);
  } catch (error) {
    await engine.close();
    throw error;
  }
  return {
    capabilities: { engine: location.kind === "embedded" ? "pglite" : "postgres", vector: engine.installation.vector },
    forTenant: (context) => tenant(context.tenant.uuid),
    system,
    rows: createTenantRows(system),
    health: () => (failure ? { ok: false, reason: `The database is not available: ${failure.code}.` } : { ok: true }),
    close: () => engine.close(),
  };
}

async function openEmbedded(location: DataLocation & { kind: "embedded" }, ports: DataPorts): Promise<Engine> {
  const lock = lockFolder(location.folder);
  chmodSync(location.folder, 0o700); // the rows of all tenants are in here
  const server = new PgliteServer(path.join(location.folder, "pg"), location.exchangeTimeoutMs);
  const known: { installation?: Installation } = {};
  const pool = new pg.Pool({
    user: "postgres",
    database: "postgres",
    max: 1, // there is one session; a second connection would be inside the first one's transaction
    idleTimeoutMillis: 0,
    connectionTimeoutMillis: ACQUIRE_TIMEOUT_MS,
    stream: () => server.connect(),
    // oxlint-disable-next-line typescript/no-misused-promises -- the pool waits for it, its type does not say so
    onConnect: (client) => (known.installation ? prepareEmbedded(client, known.installation, listener) : undefined),
  });
  const listener = createListener({
    kind: "shared",
    run: async (text) => {
      await pool.query(text);
    },
  });
  watch(pool, ports);
  const close = async (): Promise<void> => {
    await pool.end();
    await server.close();
    lock.release();
  };
  try {
    await server.start();
    const client = await pool.connect();
    try {
      known.installation = await bootstrap(client, { ...ports, passwords: { app: "", system: "" }, appEnters: false });
    } finally {
      client.release(true);
    }
  } catch (error) {
    await close();
    throw error;
  }
  const { installation } = known;
  const { app, system } = installation.roles;
  return {
    app: pool,
    system: pool,
    installation,
    enter: (context) => ({ ...embeddedEnter(app), values: [context] }),
    nobody: embeddedRole("fh_nobody", app),
    platform: embeddedRole("fh_platform", system),
    listener,
    recover: (fault) => {
      // after one "no space" error later statements never return, while the data stays intact (measured): start over
      if (fault.code === "storage_full") server.restart("the disk is full");
    },
    close,
  };
}

/** The session is the superuser until it takes on the role, and the role cannot set anything: freehold.enter has nothing to guard here. */
function embeddedEnter(role: string): Statement {
  return { name: "fh_enter", text: `select set_config('app.tenant_id', $1, true), set_config('role', '${role}', true)`, values: [""] };
}

function embeddedRole(name: string, role: string): Statement {
  return { name, text: `select set_config('role', '${role}', true)`, values: [] };
}

/** The session outlives connections, so each connection first takes back whatever the last one left. */
async function prepareEmbedded(client: pg.ClientBase, { roles }: Installation, listener: Listener): Promise<void> {
  await client.query("rollback");
  await client.query("discard all");
  await client.query(`set search_path = ${SEARCH_PATH}`);
  await prepareConnection(client, [
    embeddedEnter(roles.app),
    embeddedRole("fh_nobody", roles.app),
    embeddedRole("fh_platform", roles.system),
  ]);
  await listener.attach(client);
}

async function openServer(location: DataLocation & { kind: "postgres" }, ports: DataPorts): Promise<Engine> {
  const passwords = {
    app: ports.keyring.key("database-password-app").toString("base64url"),
    system: ports.keyring.key("database-password-system").toString("base64url"),
  };
  const installation = await setUp(location.url, { ...ports, passwords, appEnters: true });
  const { roles } = installation;
  const open = (role: string, password: string, preambles: readonly Statement[], connectionsMax: number): pg.Pool => {
    const pool = new pg.Pool({
      connectionString: asRole(location.url, role, password),
      max: connectionsMax,
      idleTimeoutMillis: IDLE_TIMEOUT_MS,
      connectionTimeoutMillis: ACQUIRE_TIMEOUT_MS,
      statement_timeout: location.statementTimeoutMs ?? STATEMENT_TIMEOUT_MS,
      lock_timeout: LOCK_TIMEOUT_MS,
      idle_in_transaction_session_timeout: STATEMENT_TIMEOUT_MS,
      application_name: "freehold",
      options: `-c search_path=${SEARCH_PATH.replaceAll(" ", "")}`,
      // oxlint-disable-next-line typescript/no-misused-promises -- the pool waits for it, its type does not say so
      onConnect: (client) => prepareConnection(client, preambles),
    });
    watch(pool, ports);
    return pool;
  };
  const enter: Statement = { name: "fh_enter", text: "select freehold.enter($1)", values: [""] };
  const systemConnections = Math.max(2, Math.floor(location.connectionsMax / 4));
  const app = open(roles.app, passwords.app, [enter], Math.max(2, location.connectionsMax - systemConnections));
  const system = open(roles.system, passwords.system, [], systemConnections);
  const listener = createListener({ kind: "dedicated", url: asRole(location.url, roles.system, passwords.system), report: ports.report });
  return {
    app,
    system,
    installation,
    enter: (context) => ({ ...enter, values: [context] }),
    nobody: undefined,
    platform: undefined,
    listener,
    recover: () => {},
    close: async () => {
      await Promise.all([listener.close(), app.end(), system.end()]);
    },
  };
}

function watch(pool: pg.Pool, ports: DataPorts): void {
  pool.on("error", (error) => ports.report(new Fault("dependency_unavailable", error.message, { cause: error })));
  // while a connection is in use and no statement under way, nobody else listens: without this its loss would end the process
  pool.on("connect", (client) => client.on("error", () => {}));
}

async function setUp(url: string, options: Parameters<typeof bootstrap>[1]): Promise<Installation> {
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
    return await bootstrap(client, options);
  } finally {
    await client.end();
  }
}

function asRole(url: string, role: string, password: string): string {
  const changed = new URL(url);
  changed.username = role;
  changed.password = password;
  return changed.href;
}
