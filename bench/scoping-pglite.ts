import path from "node:path";
import pg from "pg";
import { createDataStore } from "../src/stores/data/index.ts";
import { tenantTable } from "../src/stores/data/migrations/migration.ts";
import { PgliteServer } from "../src/stores/data/pglite-server.ts";
import { rolesOf } from "../src/stores/data/roles.ts";
import type { BenchOptions, Row } from "./bench.ts";
import { compare } from "./compare.ts";
import { measureLoop } from "./measure.ts";
import { OPERATIONS, plainSide, scopedSide, type Side, tableSql, TENANTS } from "./scoping-sides.ts";
import { temporaryFolder } from "./temporary-folder.ts";
import { benchPorts, benchTenants } from "./tenants.ts";

const CONCURRENCIES = [1, 32] as const;

const contexts = benchTenants(TENANTS);

/** Scoped against plain on the embedded database: each has one in a thread of its own, reached in the same way. */
export async function scopingOnPglite(options: BenchOptions): Promise<readonly Row[]> {
  await using ends = new AsyncDisposableStack();
  const scoped = await openScoped(ends);
  const plain = await openPlain(ends);
  const rows: Row[] = [];
  for (const operation of OPERATIONS) {
    for (const concurrency of CONCURRENCIES) {
      const loop = (side: Side) => async (durationMs: number) => await measureLoop(concurrency, durationMs, side[operation]);
      rows.push(await compare(`pglite ${operation} c${concurrency}`, { plain: loop(plain), scoped: loop(scoped) }, options));
    }
  }
  return rows;
}

async function openScoped(ends: AsyncDisposableStack): Promise<Side> {
  const folder = temporaryFolder(ends);
  const location = { kind: "embedded", folder } as const;
  await (await createDataStore(location, benchPorts())).close(); // sets it up
  const roles = rolesOf("postgres");
  await administerFolder(
    folder,
    `${tableSql("freehold.bench_rows", contexts)}
     alter table freehold.bench_rows owner to ${roles.owner};
     ${tenantTable("bench_rows", roles, { app: "select, insert, update, delete" })}
     analyze freehold.bench_rows;`,
  );
  const store = await createDataStore(location, benchPorts());
  ends.defer(() => store.close());
  return scopedSide(store, contexts);
}

async function openPlain(ends: AsyncDisposableStack): Promise<Side> {
  const folder = temporaryFolder(ends);
  await administerFolder(folder, `create schema bench; ${tableSql("bench.rows", contexts)} analyze bench.rows;`);
  return plainSide(openPool(ends, folder), contexts);
}

async function administerFolder(folder: string, text: string): Promise<void> {
  await using ends = new AsyncDisposableStack();
  await openPool(ends, folder).query(text);
}

/** The one session of an embedded database, as stock node-postgres sees it. */
function openPool(ends: AsyncDisposableStack, folder: string): pg.Pool {
  const server = new PgliteServer(path.join(folder, "pg"));
  ends.defer(() => server.close());
  const pool = new pg.Pool({ user: "postgres", database: "postgres", max: 1, idleTimeoutMillis: 0, stream: () => server.connect() });
  ends.defer(() => pool.end());
  return pool;
}
