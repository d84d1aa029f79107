import type pg from "pg";

/** What this file uses of node-postgres's connection while rows are copied. */
interface CopyConnection {
  readonly stream: {
    readonly writableLength: number;
    pause(): void;
    resume(): void;
    once(event: "drain", listener: () => void): void;
  };
  query(text: string): void;
  sendCopyFromChunk(chunk: Buffer): void;
  endCopyFrom(): void;
  sendCopyFail(message: string): void;
}

/** Rows are handed on in pieces of this size: one message for each row would be one write for each row. */
const PIECE_BYTES = 64 * 1024;
/** What may wait in front of a target that is slower than the source. */
const WAITING_BYTES_MAX = 4 * 1024 * 1024;

/** Streams the rows of `select` into `table`, from one server connection to another, without keeping them. Both statements are ours. */
export async function copyRows(source: pg.ClientBase, select: string, target: pg.ClientBase, into: string): Promise<void> {
  const sink = new CopyIn(`copy ${into} from stdin`);
  submit(target, sink);
  const connection = await sink.ready;
  const out = new CopyOut(`copy (${select}) to stdout`, connection);
  submit(source, out);
  try {
    await out.done;
  } catch (error) {
    connection.sendCopyFail("the source failed");
    await sink.done.catch(() => undefined); // it failed because of the source, which is what is told
    throw error;
  }
  connection.endCopyFrom();
  await sink.done;
}

class CopyIn {
  /** Must exist for the client not to put its own in place. */
  readonly callback = (): void => {};
  readonly #ready = Promise.withResolvers<CopyConnection>();
  readonly #done = Promise.withResolvers<void>();
  readonly #text: string;
  #failed = false;

  constructor(text: string) {
    this.#text = text;
    this.#done.promise.catch(() => undefined); // whoever waits for it is told
  }

  get ready(): Promise<CopyConnection> {
    return this.#ready.promise;
  }

  get done(): Promise<void> {
    return this.#done.promise;
  }

  submit(connection: CopyConnection): void {
    connection.query(this.#text);
  }

  handleCopyInResponse(connection: CopyConnection): void {
    this.#ready.resolve(connection);
  }

  handleCommandComplete(): void {}

  handleReadyForQuery(): void {
    if (!this.#failed) this.#done.resolve();
  }

  handleError(error: Error): void {
    this.#failed = true;
    this.#ready.reject(error);
    this.#done.reject(error);
  }
}

class CopyOut {
  readonly callback = (): void => {};
  readonly #done = Promise.withResolvers<void>();
  readonly #text: string;
  readonly #target: CopyConnection;
  #pieces: Buffer[] = [];
  #bytes = 0;
  #failure: Error | undefined;

  constructor(text: string, target: CopyConnection) {
    this.#text = text;
    this.#target = target;
  }

  get done(): Promise<void> {
    return this.#done.promise;
  }

  submit(connection: CopyConnection): void {
    connection.query(this.#text);
  }

  handleCopyData({ chunk }: { readonly chunk: Buffer }, connection: CopyConnection): void {
    this.#pieces.push(Buffer.from(chunk)); // a view of the buffer that the next message overwrites
    this.#bytes += chunk.length;
    if (this.#bytes < PIECE_BYTES) return;
    this.#flush();
    if (this.#target.stream.writableLength < WAITING_BYTES_MAX) return;
    connection.stream.pause();
    this.#target.stream.once("drain", () => connection.stream.resume());
  }

  handleCommandComplete(): void {
    this.#flush();
  }

  handleReadyForQuery(): void {
    if (this.#failure) this.#done.reject(this.#failure);
    else this.#done.resolve();
  }

  handleError(error: Error): void {
    this.#failure = error;
    this.#done.reject(error);
  }

  #flush(): void {
    if (this.#bytes > 0) this.#target.sendCopyFromChunk(Buffer.concat(this.#pieces));
    this.#pieces = [];
    this.#bytes = 0;
  }
}

function submit(client: pg.ClientBase, query: CopyIn | CopyOut): void {
  // node-postgres takes any object with `submit` and the handlers; its type knows only its own classes
  client.query(query as unknown as pg.Submittable);
}
