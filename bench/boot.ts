import { setTimeout as pause } from "node:timers/promises";
import { type Bench, type BenchOptions, type Row, rounded } from "./bench.ts";
import { CORES, cpuTimeUs, residentMiB } from "./child.ts";
import { type FreeholdProcess, startFreehold } from "./freehold-process.ts";
import { benchPlan } from "./operations-house.ts";
import { httpRequest, type LoadGenerator, startLoadGenerator } from "./load.ts";
import { median } from "./measure.ts";
import { temporaryFolder } from "./temporary-folder.ts";

const REQUESTS = 10_000;
const LOAD_MS = 2_000;
const CONCURRENCY = 16;
const SETTLE_MS = 1_000;
const IDLE_MS = 4_000;

/** Until `freehold up` is ready on the embedded database, demo tenants included, the memory it takes, and the CPU while nothing is asked. */
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
  const idle = await startOnce(folder, async () => 0, quick ? IDLE_MS / 4 : IDLE_MS);
  const used = await startOnce(folder, async (freehold) => await askOften(freehold, load, quick ? REQUESTS / 10 : REQUESTS));
  return [
    toRow("cold first start", cold),
    toRow("warm start", warm),
    toRow("without requests", [idle]),
    toRow(`after ${used.requests} requests`, [used]),
  ];
}

interface Start {
  readonly readyAfterMs: number;
  readonly rssMiB: number;
  readonly requests: number;
  /** CPU while nothing is asked of it, from a second after it was ready. */
  readonly idleCpuMsPerS: number | undefined;
}

async function startOnce(
  folder: string,
  use: (freehold: FreeholdProcess) => Promise<number> = async () => 0,
  idleMs?: number,
): Promise<Start> {
  await using ends = new AsyncDisposableStack();
  const freehold = await startFreehold(ends, { folder, core: CORES.measured, demo: true });
  const requests = await use(freehold);
  const idleCpuMsPerS = idleMs === undefined ? undefined : await idleCpu(freehold.pid, idleMs);
  return { readyAfterMs: freehold.readyAfterMs, rssMiB: residentMiB(freehold.pid), requests, idleCpuMsPerS };
}

async function idleCpu(pid: number, durationMs: number): Promise<number> {
  await pause(SETTLE_MS);
  const cpu = cpuTimeUs(pid);
  await pause(durationMs);
  return (cpuTimeUs(pid) - cpu) / durationMs;
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
  const idle = starts[0]?.idleCpuMsPerS;
  return {
    name: `embedded ${name}`,
    readyMs: of(({ readyAfterMs }) => readyAfterMs),
    rssMiB: of(({ rssMiB }) => rssMiB),
    starts: starts.length,
    ...(idle !== undefined && { idleCpuMsPerS: rounded(idle) }),
  };
}
