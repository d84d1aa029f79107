import { setTimeout as pause } from "node:timers/promises";
import type { DataModel } from "../src/kernel/index.ts";
import { createDataStore, type DataStore, defineTables, sql } from "../src/stores/data/index.ts";
import { type BenchOptions, type Row, rounded } from "./bench.ts";
import { openPostgres } from "./postgres.ts";
import { benchPorts, benchTenants } from "./tenants.ts";

const FULL = { rows: [100_000, 1_000_000] } as const;
const QUICK = { rows: [5_000] } as const;
/** Writes of the tenant that are due per second, each at its own time. */
const WRITES_PER_S = 300;
const WRITERS = 10;
const WALK: readonly DataModel[] = ["schema", "database", "row"];
const [CONTEXT, OTHER] = benchTenants(2);

const TABLES = defineTables([
  {
    name: "rows",
    create: {
      bench_rows: { columns: { id: "integer not null", body: "text not null", version: "integer not null default 0" }, key: ["id"] },
    },
  },
]);

/** What the writers of one tenant saw. */
interface Traffic {
  readonly latenciesMs: number[];
  readonly failures: unknown[];
  /** The last version of each row that was acknowledged. */
  readonly acknowledged: Map<number, number>;
  stop(): Promise<void>;
}

/** Moves of one tenant that is writing, over all three models; how long its writes waited, and those of another tenant. */
export async function moveFigures({ quick }: BenchOptions): Promise<readonly Row[]> {
  const rows: Row[] = [];
  for (const size of (quick ? QUICK : FULL).rows) rows.push(...(await movesOf(size)));
  return rows;
}

async function movesOf(size: number): Promise<readonly Row[]> {
  if (!CONTEXT || !OTHER) throw new Error("no tenants");
  await using ends = new AsyncDisposableStack();
  const { url } = await (await openPostgres(ends)).create();
  const open = async (): Promise<DataStore> => {
    // when a home is deleted, so are unused connections of other processes to it, which is reported
    const ports = { ...benchPorts(), tables: TABLES, report: () => undefined };
    const store = await createDataStore({ kind: "postgres", url, connectionsMax: 20 }, ports);
    ends.defer(() => store.close());
    return store;
  };
  const store = await open();
  await store.fleet.up();
  for (const context of [CONTEXT, OTHER]) {
    await store.forTenant(context).query(sql`
      insert into bench_rows (id, body) select n, repeat(md5(n::text), 4) from generate_series(1, ${size}::integer) n`);
  }
  const rows: Row[] = [];
  for (const model of WALK) {
    const traffic = startTraffic(await open(), CONTEXT, size);
    const others = startTraffic(await open(), OTHER, size);
    const report = await store.homes.move(CONTEXT.tenant, model);
    await Promise.all([traffic.stop(), others.stop()]);
    rows.push({
      name: `move ${size} rows, ${report.source} to ${model}`,
      fenceMs: rounded(report.fenceMs),
      moveS: rounded(report.elapsedMs / 1000),
      changes: report.changes,
      writes: traffic.latenciesMs.length,
      worstWriteMs: rounded(Math.max(...traffic.latenciesMs)),
      otherWorstWriteMs: rounded(Math.max(...others.latenciesMs)),
      refused: traffic.failures.length + others.failures.length,
      lost: await lostOf(store, traffic),
    });
    await store.homes.confirm(CONTEXT.tenant);
  }
  return rows;
}

/** Writers that change one row after another, each at the time at which its write is due. */
function startTraffic(store: DataStore, context: NonNullable<typeof CONTEXT>, size: number): Traffic {
  const [latenciesMs, failures, acknowledged] = [[] as number[], [] as unknown[], new Map<number, number>()];
  const end = new AbortController();
  const data = store.forTenant(context);
  const write = async (writer: number): Promise<void> => {
    for (let n = 0; !end.signal.aborted; n++) {
      const startedMs = performance.now();
      const id = 1 + ((n * WRITERS + writer) % size);
      try {
        const { rows } = await data.query<{ version: number }>(
          sql`update bench_rows set version = version + 1 where id = ${id} returning version`,
        );
        acknowledged.set(id, rows[0]?.version ?? 0);
        latenciesMs.push(performance.now() - startedMs);
      } catch (error) {
        failures.push(error);
      }
      await pause(Math.max(0, (1000 * WRITERS) / WRITES_PER_S - (performance.now() - startedMs)));
    }
  };
  const running = Promise.all(Array.from({ length: WRITERS }, (_, writer) => write(writer)));
  return {
    latenciesMs,
    failures,
    acknowledged,
    stop: async () => {
      end.abort();
      await running;
    },
  };
}

async function lostOf(store: DataStore, { acknowledged }: Traffic): Promise<number> {
  if (!CONTEXT) return 0;
  const { rows } = await store
    .forTenant(CONTEXT)
    .query<{ id: number; version: number }>(sql`select id, version from bench_rows where version > 0`);
  const stored = new Map(rows.map(({ id, version }) => [id, version]));
  return [...acknowledged].filter(([id, version]) => (stored.get(id) ?? 0) < version).length;
}
