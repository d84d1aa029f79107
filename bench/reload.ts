import { writeFileSync } from "node:fs";
import path from "node:path";
import { type Bench, type BenchOptions, type Row, rounded } from "./bench.ts";
import { residentMiB } from "./child.ts";
import { startFreehold } from "./freehold-process.ts";
import { insertTenants } from "./gateway-freehold.ts";
import { toMeasurement } from "./measure.ts";
import { benchPlan } from "./operations-house.ts";
import { type BenchServer, openPostgres } from "./postgres.ts";
import { temporaryFolder } from "./temporary-folder.ts";

const SIZES = [1_000, 10_000, 100_000];
const ANSWER = 200;
const SIZES_QUICK = [1_000];

/** How long a caller waits for its answer while a document with a line for each of so many tenants is taken in. */
export const reloadBench: Bench = { name: "reload", run: measureReloads };

async function measureReloads({ quick }: BenchOptions): Promise<readonly Row[]> {
  await using ends = new AsyncDisposableStack();
  const server = await openPostgres(ends);
  const rows: Row[] = [];
  for (const tenants of quick ? SIZES_QUICK : SIZES) rows.push(await measureReload(server, tenants));
  return rows;
}

async function measureReload(server: BenchServer, tenants: number): Promise<Row> {
  await using ends = new AsyncDisposableStack();
  const folder = temporaryFolder(ends);
  const database = await server.create();
  const file = path.join(folder, "gateway.yaml");
  const config = path.join(folder, "freehold.yaml");
  writeFileSync(file, documentOf("before", []));
  writeFileSync(config, JSON.stringify({ gateway: { file } }));
  const freehold = await startFreehold(ends, { folder, demo: false, databaseUrl: database.url, config });
  await freehold.manage("PUT", "/admin/v1/plans", benchPlan());
  await insertTenants(database.superuserUrl, tenants);
  const lines = Array.from(
    { length: tenants },
    (_, at) => `  tenant-${at + 1}: { plan: bench, keys: [bench-key-of-${at + 1}-0123456789] }`,
  );
  writeFileSync(file, documentOf("after", ["plans: { bench: {} }", "tenants:", ...lines]));
  const startedMs = performance.now();
  const waits = await waitsUntil(freehold.url, freehold.manage("POST", "/apisix/admin/configs/reload", {}));
  const reloadMs = performance.now() - startedMs;
  const { p50Ms, p99Ms } = toMeasurement(waits, reloadMs, 0);
  return {
    name: `${tenants} tenants`,
    reloadS: rounded(reloadMs / 1_000),
    answered: waits.length,
    p50Ms: rounded(p50Ms),
    p99Ms: rounded(p99Ms),
    longestMs: rounded(Math.max(...waits)),
    rssMiB: residentMiB(freehold.pid),
  };
}

/** One caller that asks again as soon as it is answered, and how long each answer took, in milliseconds. */
async function waitsUntil(url: string, ended: Promise<unknown>): Promise<readonly number[]> {
  const under = { done: false };
  const over = ended.finally(() => (under.done = true));
  const waits: number[] = [];
  while (!under.done) {
    const startedMs = performance.now();
    const answer = await fetch(`${url}/asked`);
    await answer.arrayBuffer();
    if (answer.status !== ANSWER) throw new Error(`answered ${answer.status}`);
    waits.push(performance.now() - startedMs);
  }
  await over;
  return waits;
}

/** A document with one route, which is answered by the gateway itself. */
function documentOf(id: string, more: readonly string[]): string {
  const plugins = `{ tenant-resolver: { required: false }, mocking: { response_example: asked, response_status: ${ANSWER} } }`;
  return ["routes:", `  - { id: ${id}, uri: /asked, plugins: ${plugins} }`, ...more, ""].join("\n");
}
