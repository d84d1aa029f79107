import type { TenantContext } from "../src/kernel/index.ts";
import type { DataStore } from "../src/stores/data/index.ts";
import { createLexicalEmbedder, createSearchStore, type TenantSearch } from "../src/stores/search/index.ts";
import { type Bench, type BenchOptions, type Row, rounded } from "./bench.ts";
import { openEngines } from "./engines.ts";
import { type Measurement, measureLoop, medianOf } from "./measure.ts";
import { benchTenants } from "./tenants.ts";
import { benchDocument, benchQuestions } from "./texts.ts";

const FULL = { points: [1_000, 5_000], rounds: 3, roundMs: 2_000 } as const;
const QUICK = { points: [200], rounds: 1, roundMs: 300 } as const;
const QUESTIONS = 50;
const LIMIT = 10;
const CALLERS = 4;

/** Search by how much a tenant has, and how fast documents become searchable, with the built-in embedder. */
export const searchBench: Bench = { name: "search", run: measureSearch };

/** One tenant on one engine. */
interface Cell {
  readonly name: string;
  readonly search: TenantSearch;
  readonly ingest: Measurement;
  readonly measured: Measurement[];
}

async function measureSearch({ quick }: BenchOptions): Promise<readonly Row[]> {
  await using ends = new AsyncDisposableStack();
  const { points, rounds, roundMs } = quick ? QUICK : FULL;
  const tenants = benchTenants(points.length);
  const cells: Cell[] = [];
  for (const { engine, store } of await openEngines(ends)) {
    for (const [at, context] of tenants.entries()) cells.push(await fill(engine, store, context, points[at] ?? 0));
  }
  for (let round = 0; round < rounds; round++) {
    for (const { search, measured } of cells) measured.push(await ask(search, roundMs));
  }
  return cells.map(toRow);
}

async function fill(engine: string, store: DataStore, context: TenantContext, points: number): Promise<Cell> {
  const search = createSearchStore({ data: store, embedder: createLexicalEmbedder() }).forTenant(context);
  const rows = store.forTenant(context);
  let next = 0;
  const put = async (): Promise<void> => {
    const { id, title, text } = benchDocument(next++);
    const item = await search.prepare({ kind: "document", ref: id, title, text, payload: {} });
    if (item.passages !== 1) throw new Error("a document of this bench makes one point");
    await rows.transaction(async (tx) => await search.put(tx, item));
  };
  const loop = async (): Promise<void> => {
    for (let left = points - next; left > 0; left = points - next) await put();
  };
  const startedMs = performance.now();
  const cpu = process.cpuUsage();
  await Promise.all(Array.from({ length: CALLERS }, loop));
  const { user, system } = process.cpuUsage(cpu);
  const ingest = { requestsPerS: (next / (performance.now() - startedMs)) * 1000, cpuUsPerRequest: (user + system) / next };
  return { name: `${engine} ${next} points`, search, ingest: { ...ingest, p50Ms: 0, p99Ms: 0, databaseCpuUsPerRequest: 0 }, measured: [] };
}

async function ask(search: TenantSearch, durationMs: number): Promise<Measurement> {
  const questions = benchQuestions(QUESTIONS);
  let next = 0;
  return await measureLoop(1, durationMs, async () => {
    const hits = await search.query({ query: questions[next++ % QUESTIONS] ?? "", limit: LIMIT });
    if (hits.length !== LIMIT) throw new Error(`a search gave ${hits.length} hits`);
  });
}

function toRow({ name, ingest, measured }: Cell): Row {
  const { requestsPerS, p50Ms, p99Ms, cpuUsPerRequest } = medianOf(measured);
  return {
    name,
    requestsPerS: rounded(requestsPerS),
    p50Ms: rounded(p50Ms),
    p99Ms: rounded(p99Ms),
    cpuUsPerRequest: rounded(cpuUsPerRequest),
    documentsPerS: rounded(ingest.requestsPerS),
  };
}
