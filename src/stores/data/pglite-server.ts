import { statfsSync } from "node:fs";
import path from "node:path";
import { Duplex } from "node:stream";
import { Worker } from "node:worker_threads";
import { Fault } from "../../kernel/index.ts";

/** What the thread is asked. */
export type ToWorker = { readonly type: "exchange"; readonly id: number; readonly bytes: Uint8Array } | { readonly type: "close" };

/** What the thread answers: `failure` when the engine itself failed, so that the thread is of no more use. */
export type FromWorker =
  | { readonly type: "ready" }
  | { readonly type: "closed" }
  | { readonly type: "answer"; readonly id: number; readonly bytes: Uint8Array }
  | { readonly type: "failure"; readonly message: string };

interface Exchange {
  readonly worker: Worker;
  readonly resolve: (bytes: Uint8Array) => void;
  readonly reject: (error: Error) => void;
  readonly watchdog: NodeJS.Timeout;
}

/** How long one exchange with the embedded database may take. Its own statement_timeout never fires, so the thread is ended instead. */
const EXCHANGE_TIMEOUT_MS = 30_000;

/** Opening includes going through the log after a crash. */
const START_TIMEOUT_MS = 60_000;
const START_PAUSE_MS = 500;

/** The engine writes its log in files of this size, each made whole before it is used. */
const LOG_FILE_BYTES = 16 * 1024 * 1024;

/** Deep enough that the engine's own check of its stack comes first, so that a statement nested too deep fails and the thread lives. */
const STACK_MB = 64;

const WORKER_FILE = new URL(import.meta.url.endsWith(".ts") ? "./pglite-worker.ts" : "./pglite-worker.js", import.meta.url);

/**
 * PostgreSQL as WebAssembly in a thread, speaking the PostgreSQL protocol over `connect()`.
 * There is one session only: sockets share it, so at most one may be open at a time (the pool has one place).
 */
export class PgliteServer {
  readonly #folder: string;
  readonly #exchangeTimeoutMs: number;
  #worker: Worker | undefined;
  #starting: Promise<Worker> | undefined;
  #ending: Promise<unknown> = Promise.resolve();
  #nextId = 1;
  readonly #exchanges = new Map<number, Exchange>();

  constructor(folder: string, exchangeTimeoutMs = EXCHANGE_TIMEOUT_MS) {
    this.#folder = folder;
    this.#exchangeTimeoutMs = exchangeTimeoutMs;
  }

  /** A connection, in the shape node-postgres expects of a socket. */
  connect(): Duplex {
    return new PgliteSocket(this);
  }

  /** Sends whole protocol messages and gives the answer's bytes. Starts the thread where none runs. */
  async exchange(bytes: Uint8Array): Promise<Uint8Array> {
    const worker = this.#worker ?? (await this.start());
    return await new Promise((resolve, reject) => {
      const id = this.#nextId++;
      const watchdog = setTimeout(() => this.#end(worker, "a statement took longer than allowed"), this.#exchangeTimeoutMs);
      this.#exchanges.set(id, { worker, resolve, reject, watchdog });
      worker.postMessage({ type: "exchange", id, bytes } satisfies ToWorker);
    });
  }

  /** Ends the thread as it is. What was acknowledged stays; the next exchange starts a new thread over the same folder. */
  restart(reason: string): void {
    if (this.#worker) this.#end(this.#worker, reason);
  }

  /** Closes the database in order; a thread that does not end by itself is ended. */
  async close(): Promise<void> {
    const worker = this.#worker ?? (await this.#starting?.catch(() => undefined));
    if (worker) {
      let watchdog: NodeJS.Timeout | undefined;
      await new Promise<void>((resolve) => {
        watchdog = setTimeout(resolve, this.#exchangeTimeoutMs);
        worker.on("message", (message: FromWorker) => {
          if (message.type === "closed") resolve();
        });
        worker.once("exit", () => resolve());
        worker.postMessage({ type: "close" } satisfies ToWorker);
      });
      clearTimeout(watchdog);
      this.#end(worker, "the store is closed");
    }
    await this.#ending;
  }

  /** Starts the thread where none runs. The first start over a new folder takes some seconds. */
  async start(): Promise<Worker> {
    this.#starting ??= this.#launch().then(
      (worker) => {
        this.#starting = undefined;
        return worker;
      },
      (error: unknown) => {
        // whoever asks in the meantime gets the same answer: a start is too much work to try for every statement
        setTimeout(() => (this.#starting = undefined), START_PAUSE_MS).unref();
        throw error;
      },
    );
    return await this.#starting;
  }

  async #launch(): Promise<Worker> {
    await this.#ending; // two threads must never have the folder open
    const worker = new Worker(WORKER_FILE, { workerData: { folder: this.#folder }, resourceLimits: { stackSizeMb: STACK_MB } });
    let watchdog: NodeJS.Timeout | undefined;
    try {
      await new Promise<void>((resolve, reject) => {
        watchdog = setTimeout(() => reject(new Error("it took longer than allowed")), START_TIMEOUT_MS);
        worker.once("message", () => resolve());
        worker.once("error", reject);
        worker.once("exit", (code) => reject(new Error(`it ended with code ${code}`)));
      });
    } catch (error) {
      this.#end(worker, "the embedded database could not be opened");
      throw this.#fault(`the embedded database could not be opened: ${error instanceof Error ? error.message : String(error)}`, error);
    } finally {
      clearTimeout(watchdog);
    }
    worker.on("message", (message: FromWorker) => this.#receive(worker, message));
    worker.on("error", (error: Error) => this.#end(worker, error.message));
    worker.on("exit", () => this.#end(worker, "the embedded database ended"));
    this.#worker = worker;
    return worker;
  }

  /** Where the engine cannot write its log it dies as of anything else: the space that is left tells why. */
  #fault(reason: string, cause?: unknown): Fault {
    return new Fault(spaceIn(path.dirname(this.#folder)) < LOG_FILE_BYTES ? "storage_full" : "dependency_unavailable", reason, { cause });
  }

  #receive(worker: Worker, message: FromWorker): void {
    if (message.type === "failure") {
      // the program itself failed, not a statement: its memory can be in any state
      this.#end(worker, message.message);
      return;
    }
    if (message.type !== "answer") return;
    const exchange = this.#exchanges.get(message.id);
    if (!exchange) return;
    this.#exchanges.delete(message.id);
    clearTimeout(exchange.watchdog);
    exchange.resolve(message.bytes);
  }

  /** Ends this thread and fails what it was asked. A thread that was started since goes on. */
  #end(worker: Worker, reason: string): void {
    if (this.#worker === worker) this.#worker = undefined;
    for (const [id, exchange] of this.#exchanges) {
      if (exchange.worker !== worker) continue;
      this.#exchanges.delete(id);
      clearTimeout(exchange.watchdog);
      exchange.reject(this.#fault(reason));
    }
    this.#ending = Promise.all([this.#ending, worker.terminate()]);
  }
}

/** Bytes that can still be written there; without an answer (the folder is gone) it is not the space that is missing. */
function spaceIn(folder: string): number {
  try {
    const { bavail, bsize } = statfsSync(folder);
    return bavail * bsize;
  } catch {
    return Infinity;
  }
}

const SYNC = 0x53;
const QUERY = 0x51;
const TERMINATE = 0x58;
const PASSWORD = 0x70;

/**
 * Collects messages until one that the server answers at once (Sync, Query, start-up) and exchanges them together: the embedded
 * database loses its place when a message that failed and its Sync arrive apart.
 */
class PgliteSocket extends Duplex {
  readonly #server: PgliteServer;
  #pending: Buffer[] = [];
  #started = false;

  constructor(server: PgliteServer) {
    super();
    this.#server = server;
  }

  /** The rest of the socket interface that node-postgres calls. */
  connect(): this {
    queueMicrotask(() => this.emit("connect"));
    return this;
  }

  setNoDelay(): this {
    return this;
  }

  setKeepAlive(): this {
    return this;
  }

  ref(): this {
    return this;
  }

  unref(): this {
    return this;
  }

  override _read(): void {}

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    this.#take([chunk]).then(() => done(), done);
  }

  override _writev(chunks: { chunk: Buffer }[], done: (error?: Error | null) => void): void {
    this.#take(chunks.map(({ chunk }) => chunk)).then(() => done(), done);
  }

  override _final(done: () => void): void {
    this.push(null);
    done();
  }

  async #take(messages: readonly Buffer[]): Promise<void> {
    for (const message of messages) {
      if (message[0] === TERMINATE && this.#started) continue; // the one session goes on
      this.#pending.push(message);
      if (this.#started && !isAnsweredAtOnce(message)) continue;
      this.#started = true;
      const bytes = Uint8Array.from(Buffer.concat(this.#pending));
      this.#pending = [];
      this.push(await this.#server.exchange(bytes));
    }
  }
}

/** Whether the chunk ends with a message that the server answers: node-postgres writes Sync, Query and Password as chunks of their own. */
function isAnsweredAtOnce(message: Buffer): boolean {
  const type = message[0];
  return type === SYNC || type === QUERY || type === PASSWORD;
}
