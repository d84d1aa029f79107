import { type Bench, type BenchOptions, type Row, rounded } from "./bench.ts";
import { residentMiB } from "./child.ts";
import { BARE_PATH, type FreeholdSide, FULL_PATH, startFreeholdSide } from "./gateway-freehold.ts";
import { type Side, startHaproxy, startNginxProxy, startNodePeers, startUpstream } from "./gateway-peers.ts";
import { measureOpenStreams } from "./gateway-streams.ts";
import { addedLatency } from "./gateway-latency.ts";
import { type Measurement, median, medianOf } from "./measure.ts";
import { openPostgres } from "./postgres.ts";
import { temporaryFolder } from "./temporary-folder.ts";
import { measureWithWrk } from "./wrk.ts";

const CONNECTIONS = 64;
const FULL = {
  rounds: 15,
  seconds: 1,
  warmUpSeconds: 10,
  allTenantsSeconds: 50,
  tenants: 100_000,
  routes: 10_000,
  streams: 10_000,
} as const;
const QUICK = { rounds: 1, seconds: 1, warmUpSeconds: 1, allTenantsSeconds: 1, tenants: 1_000, routes: 1_000, streams: 500 } as const;
/** A connection for each request, thousands in a second, can use up the ports of the machine for a moment. */
const REFUSED_MAX = 0.002;
/** Portkey's gateway takes only the paths of the APIs that it speaks. */
const CHAT_PATH = "/v1/chat/completions";

/** One row of the table. */
interface Runner {
  readonly name: string;
  readonly side: Side;
  readonly path: string;
  readonly credentials?: string;
  readonly measured: Measurement[];
}

/** The server that the others' CPU is a multiple of. */
const MEASURE = "nginx";

/** CPU, throughput, latency and memory of a proxied request: nginx, HAProxy, Node's proxies and Freehold in one interleaved run. */
export const gatewayBench: Bench = { name: "gateway", run: measureGateway };

async function measureGateway({ quick }: BenchOptions): Promise<readonly Row[]> {
  await using ends = new AsyncDisposableStack();
  const size = quick ? QUICK : FULL;
  const folder = temporaryFolder(ends);
  const upstream = await startUpstream(ends, folder);
  const server = await openPostgres(ends);
  const bare = await startFreeholdSide(ends, server, upstream, "freehold", { tenants: 1, routes: 10, open: true });
  const small = await startFreeholdSide(ends, server, upstream, "freehold", { tenants: 10, routes: 10 });
  const tenants = await startFreeholdSide(ends, server, upstream, "freehold", { tenants: size.tenants, routes: 10 });
  const inTurn = await startFreeholdSide(ends, server, upstream, "freehold", { tenants: size.tenants, routes: 10 });
  const routes = await startFreeholdSide(ends, server, upstream, "freehold", { tenants: 10, routes: size.routes });
  const nginx = await startNginxProxy(ends, folder, upstream);
  const peers = [nginx, await startHaproxy(ends, folder, upstream), ...(await startNodePeers(ends, upstream))];
  const runners: Runner[] = [
    ...peers.map((side) => ({ name: side.name, side, path: CHAT_PATH, measured: [] })),
    runnerOf("freehold-bare", bare, BARE_PATH),
    runnerOf("freehold-full", small, FULL_PATH),
    { ...runnerOf(`freehold-full-${size.tenants}-tenants`, tenants, FULL_PATH), credentials: tenants.few },
    { ...runnerOf(`freehold-full-${size.tenants}-tenants-1000-call`, tenants, FULL_PATH), credentials: tenants.active },
    runnerOf(`freehold-full-${size.tenants}-tenants-all-call`, inTurn, FULL_PATH),
    runnerOf(`freehold-full-${size.routes}-routes`, routes, FULL_PATH),
  ];
  const measure = async ({ side, path, credentials }: Runner, seconds: number): Promise<Measurement> =>
    await measureWithWrk({
      port: side.port,
      path,
      connections: CONNECTIONS,
      seconds,
      upstream: `http://127.0.0.1:${upstream}/v1`,
      pids: side.pids,
      ...(credentials !== undefined && { credentials }),
      ...(credentials === inTurn.credentials && { refusedMax: REFUSED_MAX }),
    });
  for (const runner of runners) {
    // every tenant once at least, in one run that begins with the first: what is measured is the steady state, not the first look at each
    await measure(runner, runner.credentials === inTurn.credentials ? size.allTenantsSeconds : size.warmUpSeconds);
  }
  // all of a round before the next, so that whatever else the machine does falls on all
  for (let round = 0; round < size.rounds; round++) {
    for (const runner of runners) runner.measured.push(await measure(runner, size.seconds));
  }
  const yardstick = runners.find(({ name }) => name === MEASURE)?.measured ?? [];
  const rows = runners.map((runner) => toRow(runner, yardstick));
  const full = rows.find(({ name }) => name === "freehold-full");
  const rate = Number(full?.["requestsPerS"]) / 2;
  return [
    ...rows,
    ...(await addedLatency(ends, {
      upstream,
      sides: [
        { name: nginx.name, side: nginx, path: CHAT_PATH },
        { name: "freehold-full", side: small, path: FULL_PATH },
      ],
      credentials: small.credentials,
      perSecond: rate,
      quick,
    })),
    await measureOpenStreams(ends, size.streams),
  ];
}

function runnerOf(name: string, side: FreeholdSide, path: string): Runner {
  return { name, side, path, credentials: path === BARE_PATH ? side.nobody : side.credentials, measured: [] };
}

/** The CPU as a multiple is the median of what it is within each round, so that a slow round of the machine's counts for both. */
function toRow({ name, side, measured }: Runner, yardstick: readonly Measurement[]): Row {
  const { requestsPerS, p50Ms, p99Ms, cpuUsPerRequest } = medianOf(measured);
  return {
    name,
    cpuUsPerRequest: rounded(cpuUsPerRequest),
    ofNginx: rounded(median(measured.map((one, at) => one.cpuUsPerRequest / (yardstick[at]?.cpuUsPerRequest ?? Number.NaN)))),
    requestsPerS: rounded(requestsPerS),
    p50Ms: rounded(p50Ms),
    p99Ms: rounded(p99Ms),
    rssMiB: side.pids.reduce((sum, pid) => sum + residentMiB(pid), 0),
  };
}
