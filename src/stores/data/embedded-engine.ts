import { chmodSync } from "node:fs";
import path from "node:path";
import pg from "pg";
import { bootstrap, type Installation } from "./bootstrap.ts";
import { ConnectionBudget, type PoolSpec } from "./connection-budget.ts";
import type { DataPorts } from "./data-store.ts";
import { ACQUIRE_TIMEOUT_MS, type Engine, noDatabases, SEARCH_PATH, searchPathOf, searchPathWith } from "./engine.ts";
import { lockFolder } from "./folder-lock.ts";
import { type Home, homeNames } from "./home.ts";
import { createListener, type Listener } from "./listener.ts";
import { PgliteServer } from "./pglite-server.ts";
import { prepareConnection } from "./runner.ts";
import type { Statement } from "./sql.ts";

/** A folder that holds the embedded database. */
export interface EmbeddedLocation {
  readonly kind: "embedded";
  readonly folder: string;
  readonly exchangeTimeoutMs?: number;
}

const HOLDER = "platform";

/** Opens the folder for this process alone and sets it up. Throws `store_locked`, `storage_full` or `dependency_unavailable`. */
export async function openEmbedded(location: EmbeddedLocation, ports: DataPorts): Promise<Engine> {
  const lock = lockFolder(location.folder);
  chmodSync(location.folder, 0o700); // the rows of all tenants are in here
  const server = new PgliteServer(path.join(location.folder, "pg"), location.exchangeTimeoutMs);
  const known: { installation?: Installation } = {};
  const connect = async (): Promise<pg.Client> => {
    const client = new pg.Client({ user: "postgres", database: "postgres", stream: () => server.connect() });
    client.on("error", () => {}); // whoever uses it learns of it by its own statement
    await client.connect();
    if (known.installation) await prepareEmbedded(client, known.installation, listener);
    return client;
  };
  const pool: PoolSpec = { key: "embedded", tenant: undefined, connect };
  // there is one session; a second connection would be inside the first one's transaction
  const bounds = { connectionsMax: 1, perTenantMax: 1, acquireTimeoutMs: ACQUIRE_TIMEOUT_MS, idleTimeoutMs: 0 };
  const budget = new ConnectionBudget({ ...bounds, report: ports.report });
  const administer: Engine["administer"] = async (work) => {
    const lease = await budget.acquire(pool, HOLDER);
    try {
      return await work(lease.client);
    } finally {
      lease.release(false); // the next connection takes back what this one left
    }
  };
  const listener = createListener({ kind: "shared", run: (text) => runAndKeep(budget, pool, text) });
  const close = async (): Promise<void> => {
    await budget.close();
    await server.close();
    lock.release();
  };
  try {
    await server.start();
    known.installation = await administer((client) =>
      bootstrap(client, { ...ports, passwords: { app: "", system: "" }, appEnters: false }),
    );
  } catch (error) {
    await close();
    throw error;
  }
  const { roles } = known.installation;
  return {
    kind: "pglite",
    installation: known.installation,
    tenants: budget,
    system: budget,
    route: (home) => ({ pool, preamble: enter(known.installation, home) }),
    ownSystem: () => {
      throw noDatabases();
    },
    nobody: { pool, preamble: takeRole("fh_nobody", roles.app) },
    platform: { pool, preamble: takeRole("fh_platform", roles.system) },
    listener,
    administer,
    recover: (fault) => {
      // after one "no space" error later statements never return, while the data stays intact (measured): start over
      if (fault.code === "storage_full") server.restart("the disk is full");
    },
    close,
  };
}

/** Runs what leaves nothing behind but that somebody listens: a new connection would be a gap for all who listen already. */
async function runAndKeep(budget: ConnectionBudget, pool: PoolSpec, text: string): Promise<void> {
  const lease = await budget.acquire(pool, HOLDER);
  let clean = false;
  try {
    await lease.client.query(text);
    clean = true;
  } finally {
    lease.release(clean);
  }
}

/**
 * The session is the superuser until it takes on a role, and no role of a tenant can set anything: freehold.enter has nothing to guard
 * here. In shared rows the role is everybody's and the setting says who; a tenant with a schema of its own has its own role and path.
 */
function enter(installation: Installation | undefined, { model, tenant }: Home): Statement {
  if (!installation) throw new Error("the embedded database has not been set up");
  const { roles, database } = installation;
  if (model === "row") return { ...enterRows(roles.app), values: [tenant] };
  const { login, schema, search } = homeNames(database, tenant);
  if (model === "row_search") return { ...enterRowsAndSearch(roles.app), values: [tenant, searchPathWith(search)] };
  if (model === "schema") {
    return { ...ENTER_SCHEMA, values: [searchPathOf(schema), login] };
  }
  throw noDatabases();
}

function enterRows(role: string): Statement {
  return { name: "fh_enter", text: `select set_config('app.tenant_id', $1, true), set_config('role', '${role}', true)`, values: [""] };
}

function enterRowsAndSearch(role: string): Statement {
  const text = `select set_config('app.tenant_id', $1, true), set_config('search_path', $2, true), set_config('role', '${role}', true)`;
  return { name: "fh_enter_search", text, values: ["", ""] };
}

/** The role comes last: it may not set anything itself. */
const ENTER_SCHEMA: Statement = {
  name: "fh_enter_schema",
  text: "select set_config('search_path', $1, true), set_config('role', $2, true)",
  values: ["", ""],
};

function takeRole(name: string, role: string): Statement {
  return { name, text: `select set_config('role', '${role}', true)`, values: [] };
}

/** The session outlives connections, so each connection first takes back whatever the last one left. */
async function prepareEmbedded(client: pg.ClientBase, { roles }: Installation, listener: Listener): Promise<void> {
  await client.query("rollback");
  await client.query("discard all");
  await client.query(`set search_path = ${SEARCH_PATH}`);
  await prepareConnection(client, [
    enterRows(roles.app),
    enterRowsAndSearch(roles.app),
    ENTER_SCHEMA,
    takeRole("fh_nobody", roles.app),
    takeRole("fh_platform", roles.system),
  ]);
  await listener.attach(client);
}
