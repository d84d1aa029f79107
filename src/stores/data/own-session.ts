import pg from "pg";
import { Fault } from "../../kernel/index.ts";
import { stateOf } from "./client-state.ts";
import { ACQUIRE_TIMEOUT_MS } from "./engine.ts";

/** A pooler with many server connections and other callers can look like one connection for a while; after so many looks it does not. */
const LOOKS = 4;

/**
 * That this connection keeps one server process for as long as it is open, as prepared statements, locks and notifications need it. Throws
 * `dependency_unavailable` where a pooler gives each transaction whichever process is free. One that gives a whole session its own passes.
 */
export async function assertOwnSession(client: pg.ClientBase, url: string): Promise<void> {
  const first = await processOf(client);
  if (stateOf(client).processID === first) return; // nothing stands in between: a pooler would have made up a number of its own
  const other = new pg.Client({ connectionString: url, connectionTimeoutMillis: ACQUIRE_TIMEOUT_MS, application_name: "freehold-setup" });
  other.on("error", () => {}); // the query that is under way fails with it
  try {
    await other.connect();
    for (let look = 0; look < LOOKS; look++) {
      const [others, own] = [await processOf(other), await processOf(client)];
      if (own !== first || others === first) throw pooled(url);
    }
  } finally {
    await other.end();
  }
}

async function processOf(client: pg.ClientBase): Promise<number> {
  const { rows } = await client.query<{ pid: number }>("select pg_catalog.pg_backend_pid() as pid");
  return rows[0]?.pid ?? 0;
}

function pooled(url: string): Fault {
  const detail =
    `At ${new URL(url).host} a pooler gives every transaction another connection. Freehold brings a pool of its own, bounded by ` +
    "`database.connectionsMax`: name the server itself, or a port of the pooler in session mode.";
  return new Fault("dependency_unavailable", detail, { public: { detail } });
}
