import { type Clock, createKeyring, type Keyring, systemClock, systemRandom, type TenantContext } from "../src/kernel/index.ts";
import type { DataStore } from "../src/stores/data/index.ts";
import { createEventStore, createPostgresBus, createWorker, type EventConsumer, type EventWorker } from "../src/stores/events/index.ts";
import { type Bench, type BenchOptions, type Row, rounded } from "./bench.ts";
import { openEngines } from "./engines.ts";
import { median } from "./measure.ts";
import { benchTenants } from "./tenants.ts";

const TENANTS = 20;
const PUBLISHERS = 16;
const FULL = { events: 2_000, rounds: 3 } as const;
const QUICK = { events: 200, rounds: 1 } as const;
const keyring: Keyring = createKeyring(Buffer.alloc(32, 7));
const clock: Clock = systemClock;

/** How fast events are published, each in a transaction of its own, and handled, each with its inbox entry in one of its own. */
export const eventsBench: Bench = { name: "events", run: measureEvents };

async function measureEvents({ quick }: BenchOptions): Promise<readonly Row[]> {
  await using ends = new AsyncDisposableStack();
  const { events, rounds } = quick ? QUICK : FULL;
  const tenants = benchTenants(TENANTS);
  const measured = new Map<string, { readonly published: number[]; readonly handled: number[] }>();
  const engines = await openEngines(ends);
  for (let round = 0; round < rounds; round++) {
    for (const { engine, store } of engines) {
      const rates = measured.get(engine) ?? { published: [], handled: [] };
      measured.set(engine, rates);
      rates.published.push(await perSecond(events, () => publish(store, tenants, events)));
      rates.handled.push(await perSecond(events, () => handle(store, tenants, events)));
    }
  }
  return Array.from(measured, ([engine, { published, handled }]) => ({
    name: `${engine} events of ${TENANTS} tenants`,
    publishedPerS: rounded(median(published)),
    handledPerS: rounded(median(handled)),
    requestsPerS: rounded(1 / (1 / median(published) + 1 / median(handled))),
  }));
}

async function perSecond(count: number, work: () => Promise<void>): Promise<number> {
  const startedMs = performance.now();
  await work();
  return (count / (performance.now() - startedMs)) * 1000;
}

async function publish(store: DataStore, tenants: readonly TenantContext[], count: number): Promise<void> {
  const events = createEventStore({ keyring, clock, random: systemRandom });
  let next = 0;
  const loop = async (): Promise<void> => {
    while (next < count) {
      const number = next++;
      const context = tenants[number % tenants.length];
      if (!context) throw new Error("no tenants");
      const event = { topic: "user.events", type: "user.created", key: `user-${number}`, data: { userId: `user-${number}` } } as const;
      await store.forTenant(context).transaction((tx) => events.forTenant(context).publish(tx, event));
    }
  };
  await Promise.all(Array.from({ length: PUBLISHERS }, loop));
}

async function handle(store: DataStore, tenants: readonly TenantContext[], count: number): Promise<void> {
  let handled = 0;
  const consumer: EventConsumer = {
    name: "bench",
    topics: ["user.events"],
    async handle() {
      handled++;
      return async () => {};
    },
  };
  const worker = openWorker(store, tenants, consumer);
  await worker.drain();
  await worker.close();
  if (handled !== count) throw new Error(`${handled} events of ${count} were handled`);
}

function openWorker(store: DataStore, tenants: readonly TenantContext[], consumer: EventConsumer): EventWorker {
  const contexts = new Map(tenants.map((context) => [context.tenant.uuid, context]));
  const consumers = [consumer];
  return createWorker({
    bus: createPostgresBus(store, consumers),
    data: store,
    keyring,
    clock,
    random: systemRandom,
    consumers,
    async openContext(tenantUuid) {
      const context = contexts.get(tenantUuid);
      return context ? { ok: true, context } : { ok: false, reason: "unknown" };
    },
    report: {
      onFault(fault) {
        throw fault;
      },
      async onQuarantine({ reason }) {
        throw new Error(`an event was put aside: ${reason}`);
      },
    },
  });
}
