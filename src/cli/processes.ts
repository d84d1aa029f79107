import cluster, { type Worker } from "node:cluster";
import { systemClock } from "../kernel/index.ts";
import { createMemoryLedger, serveLedger } from "../tenancy/limits/index.ts";
import { announce } from "./installation.ts";
import type { Settings } from "./settings.ts";
import { print, progress } from "./terminal.ts";

/** What a process tells the one that started it. */
export type FromProcess =
  | { readonly kind: "ready"; readonly url: string; readonly adminUrl: string; readonly text: string }
  | { readonly kind: "metrics"; readonly id: number; readonly text: string }
  | { readonly kind: "ask-metrics"; readonly id: number };

/** What it is told. */
export type ToProcess =
  | { readonly kind: "metrics"; readonly id: number; readonly texts: readonly string[] }
  | { readonly kind: "ask-metrics"; readonly id: number };

/** The variable that tells a process its place among the others; the first makes the demo tenants and says that all is ready. */
export const PLACE_VARIABLE = "FREEHOLD_PROCESS";

const FIRST_PAUSE_MS = 200;
const PAUSE_MAX_MS = 10_000;
/** A process that lived this long had started well: the next pause is a short one again. */
const LIVED_MS = 60_000;

/**
 * Runs one process per place until a signal to end: all share the ports. One that ends by itself is replaced, after a pause that grows while
 * it keeps happening. SIGHUP replaces them one after the other: the new one listens before the old one stops taking requests, so none is lost.
 */
export async function superviseProcesses(settings: Settings): Promise<void> {
  const supervisor = new Supervisor(settings);
  await supervisor.run();
}

/** One of the processes: where it stands and how it has fared. */
interface Place {
  readonly number: number;
  worker: Worker | undefined;
  startedMs: number;
  pauseMs: number;
}

class Supervisor {
  readonly #settings: Settings;
  readonly #places: Place[];
  #ending = false;
  #retract: (() => void) | undefined;
  #reloading: Promise<void> = Promise.resolve();
  /** The counters that the processes share where there is no Redis. */
  readonly #ledger = createMemoryLedger(systemClock);
  readonly #asked = new Map<number, { readonly worker: Worker; readonly texts: string[]; left: number }>();

  constructor(settings: Settings) {
    this.#settings = settings;
    this.#places = Array.from({ length: settings.gateway.processes }, (_, number) => ({
      number,
      worker: undefined,
      startedMs: 0,
      pauseMs: FIRST_PAUSE_MS,
    }));
  }

  async run(): Promise<void> {
    const ended = new Promise<void>((resolve) => {
      const end = (): void => {
        if (this.#ending) process.exit(1);
        this.#ending = true;
        resolve();
      };
      process.on("SIGINT", end).on("SIGTERM", end);
    });
    process.on("SIGHUP", () => {
      this.#reloading = this.#reloading.then(() => this.#reload()).catch((error: unknown) => progress(`Reload failed: ${String(error)}`));
    });
    try {
      // one after the other: the first sets up what all need
      for (const place of this.#places) await Promise.race([this.#start(place), ended]);
      await ended;
    } finally {
      this.#ending = true;
      this.#retract?.();
      await Promise.all(this.#places.flatMap(({ worker }) => (worker ? [endWorker(worker)] : [])));
    }
  }

  async #reload(): Promise<void> {
    for (const place of this.#places) {
      const before = place.worker;
      if (this.#ending) return;
      await this.#start(place);
      if (before) await endWorker(before);
    }
    progress("All processes were replaced.");
  }

  /** Starts a process in this place and waits until it is ready. Throws when it ends before. */
  #start(place: Place): Promise<void> {
    const worker = cluster.fork({ [PLACE_VARIABLE]: String(place.number) });
    place.worker = worker;
    place.startedMs = performance.now();
    const leave = serveLedger(this.#ledger.join(), {
      send: (message) => {
        if (worker.isConnected()) worker.send(message as object); // made by the ledger: plain data
      },
      onMessage(listener) {
        worker.on("message", listener);
        return () => void worker.off("message", listener);
      },
    });
    worker.once("exit", () => void leave());
    return new Promise((resolve, reject) => {
      worker.on("message", (message: FromProcess) => {
        if (message.kind === "ready") {
          this.#ready(message, place.number === 0);
          resolve();
        } else if (message.kind === "metrics" || message.kind === "ask-metrics") this.#metrics(worker, message);
      });
      worker.once("exit", (code) => {
        reject(new Error(`process ${place.number + 1} ended with code ${code}`));
        if (place.worker === worker) this.#again(place).catch((error: unknown) => progress(String(error)));
      });
    });
  }

  async #again(place: Place): Promise<void> {
    place.worker = undefined;
    if (this.#ending) return;
    place.pauseMs = performance.now() - place.startedMs > LIVED_MS ? FIRST_PAUSE_MS : Math.min(place.pauseMs * 2, PAUSE_MAX_MS);
    progress(`Process ${place.number + 1} of ${this.#places.length} ended and is started again.`);
    await new Promise((resolve) => setTimeout(resolve, place.pauseMs));
    if (!this.#ending && !place.worker) await this.#start(place);
  }

  #ready({ url, adminUrl, text }: Extract<FromProcess, { kind: "ready" }>, first: boolean): void {
    if (this.#retract || !first) return;
    this.#retract = announce(this.#settings, { url, adminUrl });
    print(text);
  }

  /** One process is asked for metrics and needs those of all: they are collected here. */
  #metrics(worker: Worker, message: Exclude<FromProcess, { kind: "ready" }>): void {
    if (message.kind === "ask-metrics") {
      const others = this.#places.flatMap((place) => (place.worker && place.worker !== worker ? [place.worker] : []));
      const id = worker.id * 1_000_000 + (message.id % 1_000_000);
      this.#asked.set(id, { worker, texts: [], left: others.length });
      for (const other of others) send(other, { kind: "ask-metrics", id });
      if (others.length === 0) this.#answer(id);
      return;
    }
    const asked = this.#asked.get(message.id);
    if (!asked) return;
    asked.texts.push(message.text);
    asked.left -= 1;
    if (asked.left === 0) this.#answer(message.id);
  }

  #answer(id: number): void {
    const asked = this.#asked.get(id);
    this.#asked.delete(id);
    if (asked) send(asked.worker, { kind: "metrics", id: id % 1_000_000, texts: asked.texts });
  }
}

function send(worker: Worker, message: ToProcess): void {
  if (worker.isConnected()) worker.send(message);
}

/** Lets the process finish what it does; its own grace bounds it. */
function endWorker(worker: Worker): Promise<void> {
  if (worker.isDead()) return Promise.resolve();
  return new Promise((resolve) => {
    worker.once("exit", () => resolve());
    worker.process.kill("SIGTERM");
  });
}
