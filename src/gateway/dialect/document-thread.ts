import { MessageChannel, type MessagePort, Worker } from "node:worker_threads";
import { Fault, type FaultCode, SerialQueue, Turns } from "../../kernel/index.ts";
import { Assembly, PIECE_ITEMS } from "./document-pieces.ts";
import type { ReaderOptions } from "./document-reader.ts";
import type { DocumentText } from "./document-text.ts";
import type { DocumentVerdict } from "./document-work.ts";
import type { FittedDocument, StoredObject } from "./fit-stored.ts";
import type { SourceObject } from "./source-document.ts";

/** What the thread is asked to do. */
export type DocumentJob = "fit" | "check" | "source" | "objects";

/** What it is told: stored objects in pieces, then what to do with them, then again and again that the next piece of the result can be taken. */
export type ToDocumentThread =
  | { readonly type: "stored"; readonly objects: readonly StoredObject[] }
  | { readonly type: "run"; readonly job: DocumentJob; readonly text: DocumentText | undefined }
  | { readonly type: "next" };

/** What it says. */
export type FromDocumentThread =
  | { readonly type: "result"; readonly rest: unknown }
  | { readonly type: "piece"; readonly list: string; readonly items: readonly unknown[] }
  | { readonly type: "end" }
  | { readonly type: "fault"; readonly code: FaultCode; readonly message: string; readonly detail: string | undefined };

/** What it starts with. It waits on `answered` while it asks for a variable over `variables`. */
export interface DocumentThreadData {
  readonly profile: ReaderOptions["profile"];
  readonly variables: MessagePort;
  readonly answered: Int32Array<SharedArrayBuffer>;
}

/** A variable that it asks for. */
export interface VariableRequest {
  readonly name: string;
  /** By a stored object, which may use fewer. */
  readonly stored: boolean;
}

const WORKER_FILE = new URL(import.meta.url.endsWith(".ts") ? "./document-worker.ts" : "./document-worker.js", import.meta.url);

/** The same work in a thread of its own, which starts with the first and keeps what it has parsed. What goes in and out does so in small pieces. */
export class DocumentThread {
  readonly #options: ReaderOptions;
  #worker: Worker | undefined;
  #waiting: PromiseWithResolvers<FromDocumentThread> | undefined;
  readonly #queue = new SerialQueue();

  constructor(options: ReaderOptions) {
    this.#options = options;
  }

  fit(text: DocumentText | undefined, stored: readonly StoredObject[]): Promise<FittedDocument> {
    return this.#run("fit", text, stored, (assembly, plugins) => assembly.fitted(plugins));
  }

  check(text: DocumentText | undefined, stored: readonly StoredObject[]): Promise<DocumentVerdict> {
    return this.#run("check", text, stored, (assembly) => assembly.verdict());
  }

  source(text: DocumentText | undefined, stored: readonly StoredObject[]): Promise<Uint8Array> {
    return this.#run("source", text, stored, (_, bytes) => bytes as Uint8Array); // what the job gives
  }

  objects(text: DocumentText): Promise<readonly SourceObject[]> {
    return this.#run("objects", text, [], (assembly) => assembly.list("objects") as readonly SourceObject[]); // what the job gives
  }

  async close(): Promise<void> {
    await this.#worker?.terminate();
  }

  #run<Result>(
    job: DocumentJob,
    text: DocumentText | undefined,
    stored: readonly StoredObject[],
    finish: (assembly: Assembly, rest: unknown) => Result,
  ): Promise<Result> {
    return this.#queue.run(async () => {
      const worker = this.#start();
      worker.ref(); // the work is waited for
      try {
        const { assembly, rest } = await this.#exchange(worker, job, text, stored);
        return finish(assembly, rest);
      } finally {
        worker.unref();
      }
    });
  }

  async #exchange(
    worker: Worker,
    job: DocumentJob,
    text: DocumentText | undefined,
    stored: readonly StoredObject[],
  ): Promise<{ readonly assembly: Assembly; readonly rest: unknown }> {
    const send = (message: ToDocumentThread): void => worker.postMessage(message);
    const turns = new Turns();
    for (let at = 0; at < stored.length; at += PIECE_ITEMS) {
      send({ type: "stored", objects: stored.slice(at, at + PIECE_ITEMS) });
      await turns.give();
    }
    const assembly = new Assembly();
    let rest: unknown;
    for (let message: ToDocumentThread = { type: "run", job, text }; ; message = { type: "next" }) {
      const answer = this.#answer();
      send(message);
      const said = await answer;
      if (said.type === "end") return { assembly, rest };
      if (said.type === "fault")
        throw new Fault(said.code, said.message, said.detail === undefined ? {} : { public: { detail: said.detail } });
      if (said.type === "result") rest = said.rest;
      else assembly.add(said.list, said.items);
    }
  }

  /** What the thread says next. A piece is asked for each time: those that had come by themselves would all be taken in at once. */
  #answer(): Promise<FromDocumentThread> {
    this.#waiting = Promise.withResolvers<FromDocumentThread>();
    return this.#waiting.promise;
  }

  #start(): Worker {
    if (this.#worker) return this.#worker;
    const { port1, port2 } = new MessageChannel();
    const answered = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));
    const workerData: DocumentThreadData = { profile: this.#options.profile, variables: port2, answered };
    const worker = new Worker(WORKER_FILE, { workerData, transferList: [port2] });
    port1.unref();
    port1.on("message", ({ name, stored }: VariableRequest) => {
      port1.postMessage(stored ? this.#options.storedVariable(name) : this.#options.variable(name));
      Atomics.store(answered, 0, 1);
      Atomics.notify(answered, 0);
    });
    const end = (message: string): void => {
      if (this.#worker === worker) this.#worker = undefined; // the next job has a new one
      port1.close();
      this.#waiting?.reject(new Fault("internal", `the thread that reads gateway documents ended: ${message}`));
    };
    worker.on("message", (said: FromDocumentThread) => this.#waiting?.resolve(said));
    worker.on("error", (error: Error) => end(error.message));
    worker.on("exit", (code) => end(`code ${code}`));
    this.#worker = worker;
    return worker;
  }
}
