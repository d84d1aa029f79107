import { systemClock } from "../src/kernel/index.ts";
import { createLimits, createMemoryLedger, createRedisLedger, type LimitKey, type OpenLimits } from "../src/tenancy/limits/index.ts";
import { startRedis } from "../test/support/redis.ts";
import { until } from "../test/support/until.ts";
import { type Bench, type BenchOptions, type Row, rounded } from "./bench.ts";
import { median } from "./measure.ts";
import { createPicker } from "./tenants.ts";

const KEYS = 10_000;
const TENANTS = 100;
const FULL = { decisions: 1_000_000, rounds: 5, windowMs: 5_000 } as const;
const QUICK = { decisions: 100_000, rounds: 2, windowMs: 1_000 } as const;
const GATEWAYS = [1, 2, 4] as const;
const COUNTS = [10, 1_000, 10_000] as const;
const NEVER = 1_000_000_000;
/** Decisions in one turn of the event loop. */
const TURN = 1_000;
const NO_KEY: LimitKey = ["", ""];
/** So many times the limit is asked for. */
const PRESSURE = 1.5;

/** The cost of one decision in memory, and how exactly gateways keep a limit that they share through Redis. */
export const limitsBench: Bench = { name: "limits", run: measureLimits };

async function measureLimits(options: BenchOptions): Promise<readonly Row[]> {
  return [...(await measureCosts(options)), ...(await measureAccuracy(options))];
}

async function measureCosts({ quick }: BenchOptions): Promise<readonly Row[]> {
  const shape = quick ? QUICK : FULL;
  await using ends = new AsyncDisposableStack();
  const limits = createLimits({ clock: systemClock, ledger: createMemoryLedger(systemClock).join() });
  ends.defer(() => limits.close());
  const window = { count: NEVER, windowMs: 60_000, scope: "local" } as const;
  const probes: readonly (readonly [string, (key: LimitKey) => unknown])[] = [
    ["window, fixed", (key) => limits.window(key, { ...window, kind: "fixed" })],
    ["window, sliding", (key) => limits.window(key, { ...window, kind: "sliding" })],
    ["leaky bucket", (key) => limits.bucket(key, { perSecond: 100, burst: NEVER, scope: "local" })],
    ["place taken and left", (key) => limits.slot(key, 10)?.release()],
    ["window, fixed, shared", (key) => limits.exact.window(key, { ...window, kind: "fixed", scope: "shared" })],
  ];
  const rows: Row[] = [];
  for (const [name, decide] of probes) {
    const rounds: number[] = [];
    for (let round = 0; round < shape.rounds; round++) rounds.push(await timeOf(decide, shape.decisions));
    rows.push({ name, nsPerDecision: rounded(median(rounds)) });
  }
  return rows;
}

/** Nanoseconds for each decision, over many keys, some of which come far more often than others. */
async function timeOf(decide: (key: LimitKey) => unknown, decisions: number): Promise<number> {
  const pick = createPicker();
  const keys = Array.from({ length: KEYS }, (_, at): LimitKey => [`tenant-${at % TENANTS}`, "route:1", `10.0.${at >> 8}.${at & 255}`]);
  for (const key of keys) await decide(key);
  let spentMs = 0;
  for (let done = 0; done < decisions; done += TURN) {
    const turn = Array.from({ length: TURN }, () => keys[pick(pick(KEYS) + 1)] ?? NO_KEY);
    const startedMs = performance.now();
    for (const key of turn) decide(key);
    spentMs += performance.now() - startedMs;
    // the ledger's answers come between the turns, as they do between requests
    await new Promise((resolve) => setImmediate(resolve));
  }
  return (spentMs / decisions) * 1e6;
}

async function measureAccuracy({ quick }: BenchOptions): Promise<readonly Row[]> {
  await using ends = new AsyncDisposableStack();
  const redis = await startRedis();
  ends.defer(() => redis.kill());
  const rows: Row[] = [];
  for (const count of GATEWAYS) {
    await using gatewayEnds = new AsyncDisposableStack();
    const ledgers = Array.from({ length: count }, () => createRedisLedger({ url: redis.url }));
    const gateways = ledgers.map((ledger) => createLimits({ clock: systemClock, ledger }));
    for (const gateway of gateways) gatewayEnds.defer(() => gateway.close());
    await until("the gateways know of each other", () => ledgers.every((ledger) => ledger.gateways === count));
    for (const most of COUNTS) rows.push(await measureWindow(gateways, most, (quick ? QUICK : FULL).windowMs));
  }
  return rows;
}

/** Requests spread evenly over one window, more than it has room for, each at a gateway picked by chance. */
async function measureWindow(gateways: readonly OpenLimits[], most: number, windowMs: number): Promise<Row> {
  const limit = { count: most, windowMs, kind: "fixed", scope: "shared" } as const;
  const key: LimitKey = ["tenant", `limit-${most}-${gateways.length}`];
  const pick = createPicker(most);
  const asked = Math.ceil(most * PRESSURE);
  const waits: number[] = [];
  let admitted = 0;
  let sent = 0;
  const answers: Promise<void>[] = [];
  const startedMs = performance.now();
  const send = async (): Promise<void> => {
    const askedMs = performance.now();
    const decision = gateways[pick(gateways.length)]?.exact.window(key, limit);
    const { allow } = (await decision) ?? { allow: false };
    if (decision instanceof Promise) waits.push(performance.now() - askedMs);
    if (allow) admitted++;
  };
  // all within the window, the last before its end
  for (const endMs = startedMs + windowMs * 0.9; sent < asked;) {
    const due = Math.ceil(asked * Math.min(1, (performance.now() - startedMs) / (endMs - startedMs)));
    for (; sent < due; sent++) answers.push(send());
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  await Promise.all(answers);
  waits.sort((a, b) => a - b);
  return {
    name: `shared by ${gateways.length}, limit ${most}`,
    asked,
    admitted,
    overshoot: Math.max(0, admitted - most),
    waitedPercent: rounded((100 * waits.length) / asked),
    waitP50Ms: rounded(waits[Math.floor(waits.length / 2)] ?? 0),
    waitP99Ms: rounded(waits[Math.floor(waits.length * 0.99)] ?? 0),
  };
}
