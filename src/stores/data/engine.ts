import type pg from "pg";
import { Fault } from "../../kernel/index.ts";
import type { Installation } from "./bootstrap.ts";
import type { ConnectionBudget, PoolSpec } from "./connection-budget.ts";
import type { Home } from "./home.ts";
import type { Listener } from "./listener.ts";
import type { Statement } from "./sql.ts";

/** The way to rows: connections that log in alike, and what is sent in front of each statement. */
export interface Route {
  readonly pool: PoolSpec;
  readonly preamble: Statement | undefined;
}

/** PostgreSQL, embedded or real, as the store uses it. */
export interface Engine {
  readonly kind: "pglite" | "postgres";
  readonly installation: Installation;
  /** All connections that tenants use, and all that the platform uses. */
  readonly tenants: ConnectionBudget;
  readonly system: ConnectionBudget;
  /** The way to a tenant's rows in this home; `seen` is the epoch up to which moves are known to this process. */
  route(home: Home, seen: number): Route;
  /** The way of the platform's role into the database of one tenant. */
  ownSystem(tenant: string): Route;
  /** The application's role without any tenant. */
  readonly nobody: Route;
  readonly platform: Route;
  readonly listener: Listener;
  /**
   * Runs `work` on a connection of the administrator's, in the installation's database or in a tenant's own. Throws `forbidden` where the
   * store was not opened with an administrator's URL.
   */
  administer<T>(work: (client: pg.ClientBase) => Promise<T>, database?: string): Promise<T>;
  /** Called with each fault, so that the embedded engine can be restarted when its disk is full. */
  recover(fault: Fault): void;
  close(): Promise<void>;
}

/** The order in which a name without a schema is looked up for a tenant in shared rows, or in a database of its own. */
export const SEARCH_PATH = "freehold_app, freehold, pg_catalog, pg_temp";

/** The same for a tenant with this schema of its own. */
export function searchPathOf(schema: string): string {
  return `${schema}, freehold, pg_catalog, pg_temp`;
}

/** The same for a tenant in shared rows whose searched texts are in this schema. */
export function searchPathWith(schema: string): string {
  return `${schema}, ${SEARCH_PATH}`;
}

/** Opening a connection, and waiting for one. */
export const ACQUIRE_TIMEOUT_MS = 10_000;

/** What an administrator's work is refused with where there is none. */
export function notAdministrator(): Fault {
  const detail = "This needs the URL of the database's administrator: run it where Freehold is started with that URL.";
  return new Fault("forbidden", detail, { public: { detail } });
}

/** What a database of one tenant is refused with where there is one database for all. */
export function noDatabases(): Fault {
  const detail = "The embedded database is one database: a tenant's own database needs PostgreSQL (--database-url).";
  return new Fault("invalid_settings", detail, { public: { detail, field: "data" } });
}
