import type { Bench, BenchOptions, Row } from "./bench.ts";
import { CORES, residentMiB } from "./child.ts";
import { type FreeholdProcess, startFreehold } from "./freehold-process.ts";
import { benchPlan } from "./gateway-house.ts";
import { httpRequest, type LoadGenerator, startLoadGenerator } from "./load.ts";
import { median } from "./measure.ts";
import { temporaryFolder } from "./temporary-folder.ts";

const REQUESTS = 10_000;
const LOAD_MS = 2_000;
const CONCURRENCY = 16;

/** Until `freehold up` is ready on the embedded database, demo tenants included, and the memory it takes. */
export const bootBench: Bench = { name: "boot", run: measureBoot };

async function measureBoot({ quick }: BenchOptions): Promise<readonly Row[]> {
  const [colds, warms] = quick ? [1, 1] : [3, 5];
  await using ends = new AsyncDisposableStack();
  const load = startLoadGenerator(ends);
  const folder = temporaryFolder(ends);
  const cold = [await startOnce(folder)];
  while (cold.length < colds) cold.push(await startOnce(temporaryFolder(ends)));
  const warm: Start[] = [];
  while (warm.length < warms) warm.push(await startOnce(folder));
  const used = await startOnce(folder, async (freehold) => await askOften(freehold, load, quick ? REQUESTS / 10 : REQUESTS));
  return [toRow("cold first start", cold), toRow("warm start", warm), toRow(`after ${used.requests} requests`, [used])];
}

interface Start {
  readonly readyAfterMs: number;
  readonly rssMiB: number;
  readonly requests: number;
}

async function startOnce(folder: string, use: (freehold: FreeholdProcess) => Promise<number> = async () => 0): Promise<Start> {
  await using ends = new AsyncDisposableStack();
  const freehold = await startFreehold(ends, { folder, core: CORES.measured, demo: true });
  const requests = await use(freehold);
  return { readyAfterMs: freehold.readyAfterMs, rssMiB: residentMiB(freehold.pid), requests };
}

/** At least so many requests: lists, searches and chats by turns. */
async function askOften(freehold: FreeholdProcess, load: LoadGenerator, requestsMin: number): Promise<number> {
  const [tenant] = freehold.tenants;
  if (!tenant) throw new Error("no demo tenant");
  await freehold.manage("PUT", "/admin/v1/plans", benchPlan());
  await freehold.manage("PATCH", `/admin/v1/tenants/${tenant.id}`, { plan: "bench", agentConfig: { concurrency: CONCURRENCY } });
  const credential = `authorization: Bearer ${tenant.token}`;
  const requests = [
    httpRequest("GET", "/users", credential),
    httpRequest("POST", "/search", credential, { query: "support at night" }),
    httpRequest("POST", "/api/chat", credential, { message: "How long do I have to return an order?" }),
  ];
  const port = Number(new URL(freehold.url).port);
  let done = 0;
  while (done < requestsMin) {
    const order = { port, requests, concurrency: CONCURRENCY, durationMs: LOAD_MS, status: 200 };
    const { requestsPerS } = await load.measure(freehold.pid, order);
    done += Math.round((requestsPerS * LOAD_MS) / 1000);
  }
  return done;
}

function toRow(name: string, starts: readonly Start[]): Row {
  const of = (pick: (start: Start) => number): number => Math.round(median(starts.map(pick)));
  return { name: `embedded ${name}`, readyMs: of(({ readyAfterMs }) => readyAfterMs), rssMiB: of(({ rssMiB }) => rssMiB), starts: starts.length };
}
