import { setTimeout as pause } from "node:timers/promises";
import { Fault, FAULTS, toFault } from "../../kernel/index.ts";
import { eraseSteps } from "./erase.ts";
import { importSteps, isRefusal, undoImport } from "./import.ts";
import type { LifecyclePorts } from "./ports.ts";
import {
  abandonedRuns,
  claimRun,
  endRun,
  extendRun,
  type HeldRun,
  LeaseLost,
  noteStep,
  readRun,
  releaseRun,
  type Run,
  uploadsInUse,
} from "./run-store.ts";
import { activateStep, prepareSteps, type Step } from "./steps.ts";
import { sweepUploads } from "./uploads.ts";

/** How often runs are looked for that nobody works on. */
const LOOK_MS = 2_000;
const LOOK_MAX = 20;
const EXTEND_MS = 10_000;
/** How long after a failure a run is tried again. */
const RETRY_MS = 5_000;
const WAIT_MS = 200;
/** How often an import is tried whose archive is in order: it has a caller who waits, and leaves nothing behind. */
const IMPORT_TRIES_MAX = 5;
/** The step after which an import is only taken back. */
const REFUSED = "refused";

/** The steps of a run, all of them, in order. */
function stepsOf(ports: LifecyclePorts, run: HeldRun): readonly Step[] {
  switch (run.kind) {
    case "provision":
      return [...prepareSteps(ports), activateStep(ports)];
    case "import":
      return importSteps(ports);
    case "erase":
      return eraseSteps(ports, run);
  }
}

/** Carries runs to their end: each by one process at a time, and on by another where one was killed. */
export class Runner {
  readonly #ports: LifecyclePorts;
  readonly #working = new Set<Promise<void>>();
  #looking: NodeJS.Timeout | undefined;
  #sweeping: Promise<void> | undefined;
  #closed = false;

  constructor(ports: LifecyclePorts) {
    this.#ports = ports;
  }

  /** Takes on what was left behind, now and from time to time. */
  start(): void {
    const look = (): void => void this.#look().catch((error: unknown) => this.#ports.report(toFault(error)));
    this.#looking = setInterval(look, LOOK_MS).unref();
    look();
    this.#sweeping = this.#sweep().catch((error: unknown) => this.#ports.report(toFault(error)));
  }

  /** Works on the run until it is over or has to be tried again later. */
  begin(id: string): void {
    const working = this.#work(id)
      .catch((error: unknown) => this.#ports.report(toFault(error)))
      .finally(() => this.#working.delete(working));
    this.#working.add(working);
  }

  /** The run when it is over, or as it is when the time is over. */
  async finished(id: string, limitMs: number): Promise<Run> {
    this.begin(id);
    const { data, clock } = this.#ports;
    const end = clock.monotonic() + limitMs;
    for (;;) {
      await Promise.race([Promise.all(this.#working), pause(WAIT_MS)]);
      const run = await readRun(data.system, id);
      if (!run) throw new Fault("internal", `run ${id} is gone`);
      if (run.state !== "running" || this.#closed || clock.monotonic() > end) return run;
      if (this.#working.size === 0) await pause(WAIT_MS);
    }
  }

  /** Stops between two steps; the rest is taken on by the next process. */
  async close(): Promise<void> {
    this.#closed = true;
    clearInterval(this.#looking);
    await Promise.all([...this.#working, this.#sweeping]);
  }

  async #sweep(): Promise<void> {
    const { data, folder, clock } = this.#ports;
    await sweepUploads(folder, clock.now(), await uploadsInUse(data.system));
  }

  async #look(): Promise<void> {
    if (this.#closed || this.#working.size > 0) return;
    for (const id of await abandonedRuns(this.#ports.data.system, LOOK_MAX)) this.begin(id);
  }

  async #work(id: string): Promise<void> {
    const { system } = this.#ports.data;
    const held = await claimRun(system, id);
    if (!held) return;
    const extending = setInterval(() => {
      extendRun(system, held).catch((error: unknown) => this.#ports.report(toFault(error)));
    }, EXTEND_MS).unref();
    try {
      await this.#advance(held);
    } catch (error) {
      if (!(error instanceof LeaseLost)) await this.#leave(held, error);
    } finally {
      clearInterval(extending);
    }
  }

  async #advance(held: HeldRun): Promise<void> {
    const { system } = this.#ports.data;
    let run = held;
    if (run.steps.includes(REFUSED)) return await this.#undo(run);
    for (const step of stepsOf(this.#ports, run)) {
      if (run.steps.includes(step.name)) continue;
      if (this.#closed) return await releaseRun(system, run, null, 0);
      let notes;
      try {
        notes = await step.work(run);
      } catch (error) {
        const fault = toFault(error);
        if (run.kind !== "import" || !(isRefusal(fault) || run.tries >= IMPORT_TRIES_MAX)) throw error;
        return await this.#undo(await noteStep(system, run, REFUSED, { refusal: fault.public.detail ?? FAULTS[fault.code].title }));
      }
      await this.#ports.reached?.(`${run.kind}:${step.name}`);
      run = await noteStep(system, run, step.name, notes);
      await this.#ports.reached?.(`${run.kind}:${step.name}:noted`);
    }
    await endRun(system, run, "done", null);
  }

  async #undo(run: HeldRun): Promise<void> {
    await undoImport(this.#ports, run);
    await this.#ports.reached?.(`${run.kind}:${REFUSED}`);
    await endRun(this.#ports.data.system, run, "failed", run.notes.refusal ?? null);
  }

  /** What went wrong may be over in a moment: the run is tried again, for as long as it takes. */
  async #leave(run: HeldRun, error: unknown): Promise<void> {
    const fault = toFault(error);
    this.#ports.report(new Fault(fault.code, `${run.kind} of tenant ${run.request.name}: ${fault.message}`, { cause: error }));
    await releaseRun(this.#ports.data.system, run, fault.public.detail ?? FAULTS[fault.code].title, RETRY_MS);
  }
}
