import { type Clock, Fault, type Keyring, type Random, SerialQueue, toFault } from "../../kernel/index.ts";
import type { DataStore } from "../data/index.ts";
import type { Delivery, EventBus } from "./bus.ts";
import type { ContextOpener, EventConsumer, WorkerReport } from "./consumer.ts";
import { createEnvelopes } from "./envelope.ts";
import { handleDelivery, type HandlingPorts } from "./handle-delivery.ts";
import { cleanInbox } from "./inbox.ts";
import { type EventLag, measureLag } from "./lag.ts";

/** How long a claim holds without word from its worker: what a killed process was working on is free for others after that. */
const LEASE_MS = 10_000;
/** How often a worker holds on to what it is working on. */
const EXTEND_EVERY_MS = 3_000;
/** Time limit of one handler. */
const HANDLER_TIMEOUT_MS = 30_000;
/** How often a worker looks without being called. */
const POLL_MS = 1_000;
const CLEAN_EVERY_MS = 10 * 60 * 1000;

/** What a worker is made of. */
export interface WorkerSettings {
  readonly bus: EventBus;
  readonly data: DataStore;
  readonly keyring: Keyring;
  readonly clock: Clock;
  readonly random: Random;
  readonly openContext: ContextOpener;
  readonly consumers: readonly EventConsumer[];
  readonly report: WorkerReport;
  /** Deliveries under way at once in this process, in all (16) and of one tenant (4). */
  readonly concurrency?: { readonly total: number; readonly perTenant: number };
  /** Milliseconds; default 30,000. */
  readonly handlerTimeoutMs?: number;
}

/** Handles events: each effect once, each tenant by itself. */
export interface EventWorker {
  /** Handles whatever comes from now on. */
  start(): Promise<void>;
  /** Relays and handles until nothing is due and nothing is under way here. What waits for a later time is left. */
  drain(): Promise<void>;
  /**
   * Sends one dead letter again; whether its tenant is served is asked when it is handled, as for every event. It has lost its place in
   * the order of its key. False when there is no such letter, or its consumer is gone.
   */
  redrive(tenantUuid: string, consumer: string, eventId: string): Promise<boolean>;
  /** Handles at once, in their order, the events of this tenant that wait for it to be served again. */
  unpark(tenantUuid: string): Promise<void>;
  /** Takes on nothing more, and ends when what is under way has ended. */
  close(): Promise<void>;
  lag(): Promise<EventLag>;
}

/** A worker over the bus, for exactly these consumers. */
export function createWorker(settings: WorkerSettings): EventWorker {
  const { keyring, handlerTimeoutMs = HANDLER_TIMEOUT_MS } = settings;
  const loop = new Loop(settings, { ...settings, envelopes: createEnvelopes(keyring), handlerTimeoutMs });
  return {
    start: () => loop.start(),
    drain: () => loop.drain(),
    redrive: (tenantUuid, consumer, eventId) => settings.bus.redrive(tenantUuid, consumer, eventId),
    unpark: async (tenantUuid) => {
      await settings.bus.unpark(tenantUuid);
      loop.look();
    },
    close: () => loop.close(),
    lag: () => measureLag(settings.data),
  };
}

class Loop {
  readonly #settings: WorkerSettings;
  readonly #handling: HandlingPorts;
  readonly #total: number;
  readonly #perTenant: number;
  readonly #underWay = new Map<string, number>();
  readonly #running = new Set<Promise<void>>();
  readonly #held = new Set<Delivery>();
  #extending: NodeJS.Timeout | undefined;
  /** Steps run one after the other, whoever asks for them. */
  readonly #steps = new SerialQueue();
  #firstConsumer = 0;
  /** Counts the deliveries that are no longer under way. */
  #ended = 0;
  #cleanAt = 0;
  #looping: Promise<void> | undefined;
  #stopListening: (() => Promise<void>) | undefined;
  #started = false;
  #closed = false;
  /** Ends the pause of the loop, or makes the next one end at once. */
  #nudge: () => void = () => {};

  constructor(settings: WorkerSettings, handling: HandlingPorts) {
    this.#settings = settings;
    this.#handling = handling;
    const { total, perTenant } = settings.concurrency ?? { total: 16, perTenant: 4 };
    if (!(perTenant >= 1 && total >= perTenant)) throw new RangeError("concurrency: perTenant is at least 1 and at most total");
    this.#total = total;
    this.#perTenant = perTenant;
  }

  async start(): Promise<void> {
    if (this.#started || this.#closed) throw new RangeError("a worker is started once");
    this.#started = true;
    this.#stopListening = await this.#settings.bus.wake(() => this.#nudge());
    this.#looping = this.#loop();
  }

  /** Ends the pause of the loop. Other processes look by themselves within a second. */
  look(): void {
    this.#nudge();
  }

  async drain(): Promise<void> {
    for (;;) {
      const ended = this.#ended;
      if (await this.#step()) continue;
      if (this.#running.size > 0) await Promise.race(this.#running);
      else if (ended === this.#ended) return; // whatever ended after the step had looked may have made room for more
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#nudge();
    await this.#stopListening?.();
    await this.#looping;
    await this.#steps.idle();
    await Promise.all(this.#running);
  }

  async #loop(): Promise<void> {
    while (!this.#closed) {
      const pause = this.#pause(); // from here on nothing that happens is missed
      try {
        if (await this.#step()) pause.end();
        await this.#clean();
      } catch (error) {
        this.#settings.report.onFault(toFault(error)); // most likely the database is out of reach: try again after the pause
      }
      await pause.ended;
    }
  }

  #pause(): { readonly ended: Promise<void>; end(): void } {
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, POLL_MS);
    const end = (): void => {
      clearTimeout(timer);
      resolve();
    };
    this.#nudge = end;
    if (this.#closed) end();
    return { ended: promise, end };
  }

  /** Relays a batch and takes on what there is room for. False when there was nothing to do, or no room. */
  #step(): Promise<boolean> {
    return this.#steps.run(async () => {
      if (this.#closed) return false;
      const relayed = await this.#settings.bus.relay();
      const claimed = await this.#claim();
      return relayed + claimed > 0;
    });
  }

  async #claim(): Promise<number> {
    const { bus, consumers } = this.#settings;
    let claimed = 0;
    for (let i = 0; i < consumers.length; i++) {
      const consumer = consumers[(this.#firstConsumer + i) % consumers.length];
      const limit = this.#total - this.#running.size;
      if (!consumer || limit <= 0) break;
      const bounds = { limit, perTenantMax: this.#perTenant, underWay: this.#underWay, leaseMs: LEASE_MS };
      const deliveries = await bus.claim(consumer.name, bounds);
      for (const delivery of deliveries) this.#begin(consumer, delivery);
      claimed += deliveries.length;
    }
    this.#firstConsumer++; // each consumer gets the first turn in turn
    return claimed;
  }

  #begin(consumer: EventConsumer, delivery: Delivery): void {
    const { tenantUuid } = delivery;
    this.#underWay.set(tenantUuid, (this.#underWay.get(tenantUuid) ?? 0) + 1);
    this.#hold(delivery);
    const running = this.#handle(consumer, delivery).finally(() => {
      this.#running.delete(running);
      this.#letGo(delivery);
      this.#ended++;
      const left = (this.#underWay.get(tenantUuid) ?? 1) - 1;
      if (left === 0) this.#underWay.delete(tenantUuid);
      else this.#underWay.set(tenantUuid, left);
      this.#nudge();
    });
    this.#running.add(running);
  }

  #hold(delivery: Delivery): void {
    this.#held.add(delivery);
    this.#extending ??= setInterval(() => {
      // a claim that could not be held ends in time, and the inbox keeps its effect from happening twice
      this.#settings.bus.extend([...this.#held], LEASE_MS).catch((error: unknown) => this.#settings.report.onFault(toFault(error)));
    }, EXTEND_EVERY_MS).unref();
  }

  #letGo(delivery: Delivery): void {
    this.#held.delete(delivery);
    if (this.#held.size > 0) return;
    clearInterval(this.#extending);
    this.#extending = undefined;
  }

  async #handle(consumer: EventConsumer, delivery: Delivery): Promise<void> {
    try {
      const outcome = await handleDelivery(this.#handling, consumer, delivery);
      await this.#settings.bus.settle(delivery, outcome);
    } catch (error) {
      // it is delivered again when its lease ends; what has happened is in the inbox
      const { code, message } = toFault(error);
      this.#settings.report.onFault(new Fault(code, `event ${delivery.eventId} was not settled: ${message}`, { cause: error }));
    }
  }

  async #clean(): Promise<void> {
    const { clock, data } = this.#settings;
    if (clock.monotonic() < this.#cleanAt) return;
    const { more } = await cleanInbox(data);
    if (!more) this.#cleanAt = clock.monotonic() + CLEAN_EVERY_MS;
  }
}
