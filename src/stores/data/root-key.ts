import pg from "pg";
import { Fault, type Random, ROOT_KEY_BYTES } from "../../kernel/index.ts";

/**
 * The root key that the database behind an administrator's URL keeps for development, made where there is none, so that several processes
 * on one database need no set-up. It lies in a schema of the administrator's own that no role of Freehold can read.
 */
export async function readRootKey(url: string, random: Random): Promise<Buffer> {
  const client = new pg.Client({ connectionString: url, application_name: "freehold-setup" });
  client.on("error", () => {}); // the query that is under way fails with it
  try {
    await client.connect();
    await client.query("begin");
    // one after the other: two processes that start at once must get one key
    await client.query("select pg_catalog.pg_advisory_xact_lock(7160242018)");
    await client.query("create schema if not exists freehold_root");
    await client.query("create table if not exists freehold_root.key (id integer primary key check (id = 1), key bytea not null)");
    await client.query("insert into freehold_root.key values (1, $1) on conflict do nothing", [random.bytes(ROOT_KEY_BYTES)]);
    const { rows } = await client.query<{ key: Buffer }>("select key from freehold_root.key");
    await client.query("commit");
    const key = rows[0]?.key;
    if (!key) throw new Error("the key was not stored");
    return key;
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new Fault("dependency_unavailable", `no root key from the database: ${reason}`, {
      cause,
      public: {
        detail: `PostgreSQL at ${new URL(url).host} could not be set up: ${reason}. Check --database-url, or set FREEHOLD_ROOT_KEY.`,
      },
    });
  } finally {
    await client.end().catch(() => undefined);
  }
}
