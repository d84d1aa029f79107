import pg from "pg";
import { createDataStore } from "../src/stores/data/index.ts";
import { tenantTable } from "../src/stores/data/migrations/migration.ts";
import { rolesOf } from "../src/stores/data/roles.ts";
import type { BenchOptions, Row } from "./bench.ts";
import { childrenCpuTimeUs } from "./child.ts";
import { compare } from "./compare.ts";
import { type DelayProxy, startDelayProxy } from "./delay-proxy.ts";
import { measureLoop } from "./measure.ts";
import { administer, asRole, type BenchDatabase, type BenchServer, openPostgres } from "./postgres.ts";
import { OPERATIONS, plainSide, type RowOperation, scopedSide, type Side, tableSql, TENANTS } from "./scoping-sides.ts";
import { benchPorts, benchTenants } from "./tenants.ts";

/** The default of `database.connectionsMax`, and what of it is for tenants. */
const CONNECTIONS_MAX = 20;
const TENANT_CONNECTIONS = 15;
const PLAIN_PASSWORD = "bench";
const ROUND_TRIP_MS = 0.5;
const TURNS_OVER = 200;
const CONCURRENCIES = [1, 32] as const;

const contexts = benchTenants(TENANTS);

/** Scoped against plain on PostgreSQL: `guarded` and `signed` (an administrator who is no superuser), and over a network with a delay. */
export async function scopingOnPostgres(options: BenchOptions): Promise<readonly Row[]> {
  await using ends = new AsyncDisposableStack();
  const server = await openPostgres(ends);
  const guarded = await server.create();
  const signed = await server.create({ plainAdministrator: true });
  const rows: Row[] = [];
  for (const [mode, database, operations] of [
    ["guarded", guarded, OPERATIONS],
    ["signed", signed, ["select"]],
  ] as const) {
    const direct = await openSides(ends, database, database.url);
    await assertMode(database, mode);
    rows.push(...(await compareAll(`postgres ${mode}`, server, direct, operations, options)));
  }
  const proxy = await startDelayProxy(ends, guarded.url, ROUND_TRIP_MS);
  const delayed = await openSides(ends, guarded, proxy.url);
  const delayedRows = await compareAll(`postgres guarded +${ROUND_TRIP_MS} ms`, server, delayed, ["select"], options);
  const trips = await roundTripsOf(proxy, delayed.scoped.select);
  return [...rows, ...delayedRows.map((row) => ({ ...row, roundTrips: trips }))];
}

interface Sides {
  readonly plain: Side;
  readonly scoped: Side;
}

/** Both sides with as many connections each, at this URL of the database. */
async function openSides(ends: AsyncDisposableStack, database: BenchDatabase, url: string): Promise<Sides> {
  const location = { kind: "postgres", url, connectionsMax: CONNECTIONS_MAX } as const;
  const store = await createDataStore(location, benchPorts());
  ends.defer(() => store.close());
  await makeTables(database);
  const plain = new pg.Pool({ connectionString: asRole(url, plainRole(database), PLAIN_PASSWORD), max: TENANT_CONNECTIONS });
  plain.on("error", () => {}); // the statement that is under way fails with it
  ends.defer(() => plain.end());
  return { plain: plainSide(plain, contexts), scoped: scopedSide(store, contexts) };
}

function plainRole({ name }: BenchDatabase): string {
  return `${name}_plain`;
}

/** The same rows twice: under the policy of every tenant's table, and in a table without row security. */
async function makeTables(database: BenchDatabase): Promise<void> {
  const { rows } = await administer(database.superuserUrl, "select to_regnamespace('bench') is not null as made");
  const [state] = rows as readonly { readonly made: boolean }[];
  if (state?.made) return;
  const roles = rolesOf(database.name);
  const plain = plainRole(database);
  await administer(
    database.superuserUrl,
    `${tableSql("freehold.bench_rows", contexts)}
     alter table freehold.bench_rows owner to ${roles.owner};
     ${tenantTable("bench_rows", roles, { app: "select, insert, update, delete" })}
     create role ${plain} login password '${PLAIN_PASSWORD}';
     grant connect on database ${database.name} to ${plain};
     create schema bench authorization ${plain};
     ${tableSql("bench.rows", contexts)}
     alter table bench.rows owner to ${plain};`,
  );
  for (const table of ["freehold.bench_rows", "bench.rows"]) await administer(database.superuserUrl, `vacuum (freeze, analyze) ${table}`);
}

async function compareAll(
  name: string,
  server: BenchServer,
  { plain, scoped }: Sides,
  operations: readonly RowOperation[],
  options: BenchOptions,
): Promise<readonly Row[]> {
  const rows: Row[] = [];
  const databaseCpuUs = (): number => childrenCpuTimeUs(server.pid);
  for (const operation of operations) {
    for (const concurrency of CONCURRENCIES) {
      const loop = (side: Side) => async (durationMs: number) => await measureLoop(concurrency, durationMs, side[operation], databaseCpuUs);
      rows.push(await compare(`${name} ${operation} c${concurrency}`, { plain: loop(plain), scoped: loop(scoped) }, options));
    }
  }
  return rows;
}

async function assertMode({ superuserUrl }: BenchDatabase, mode: string): Promise<void> {
  const { rows } = await administer(superuserUrl, "select freehold.context_mode() as mode");
  const [found] = rows as readonly { readonly mode: string }[];
  if (found?.mode !== mode) throw new Error(`the database is set up ${String(found?.mode)} and not ${mode}`);
}

/** How many round trips one statement takes once it is prepared. */
async function roundTripsOf(proxy: DelayProxy, request: () => Promise<void>): Promise<number> {
  const before = await proxy.turns();
  for (let count = 0; count < TURNS_OVER; count++) await request();
  return ((await proxy.turns()) - before) / TURNS_OVER;
}
