/** Program: asks one server over HTTP/1.1 from connections that each wait for their answer, and tells how long each took. */
import { once } from "node:events";
import { connect, type Socket } from "node:net";

/** What is asked of whom. */
export interface LoadOrder {
  readonly port: number;
  /** Whole requests as they go over the wire, taken in turn. */
  readonly requests: readonly string[];
  readonly concurrency: number;
  readonly durationMs: number;
  /** What every answer must begin with; any other ends the run. */
  readonly status: number;
}

/** What came of it. */
export interface LoadReport {
  readonly latencies: readonly number[];
  readonly elapsedMs: number;
}

/** Requests on each connection before any is counted. */
const FIRST_REQUESTS = 3;
const HEAD_END = Buffer.from("\r\n\r\n");

/** One connection with at most one request under way. */
class Caller {
  readonly #socket: Socket;
  readonly #status: number;
  #received: Buffer = Buffer.alloc(0);
  #answered: () => void = () => {};
  #failed: (error: Error) => void = () => {};

  constructor(socket: Socket, status: number) {
    this.#socket = socket;
    this.#status = status;
    socket.setNoDelay(true);
    socket.on("data", (piece) => this.#take(piece));
    socket.on("error", (error) => this.#failed(error));
    socket.on("close", () => this.#failed(new Error("the server closed the connection")));
  }

  ask(request: Buffer): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#answered = resolve;
      this.#failed = reject;
      this.#socket.write(request);
    });
  }

  end(): void {
    this.#failed = () => {};
    this.#socket.destroy();
  }

  #take(piece: Buffer): void {
    this.#received = this.#received.length === 0 ? piece : Buffer.concat([this.#received, piece]);
    const headEnd = this.#received.indexOf(HEAD_END);
    if (headEnd === -1) return;
    const head = this.#received.toString("latin1", 0, headEnd);
    const length = /^content-length: (\d+)/im.exec(head)?.[1];
    if (length === undefined) return this.#failed(new Error(`an answer without a length: ${head}`));
    const end = headEnd + HEAD_END.length + Number(length);
    if (this.#received.length < end) return;
    const answer = this.#received;
    this.#received = answer.subarray(end);
    if (head.startsWith(`HTTP/1.1 ${this.#status} `)) this.#answered();
    else this.#failed(new Error(`not ${this.#status}: ${answer.toString("latin1", 0, end)}`));
  }
}

async function open({ port, concurrency, status }: LoadOrder): Promise<readonly Caller[]> {
  return await Promise.all(
    Array.from({ length: concurrency }, async () => {
      const socket = connect(port, "127.0.0.1");
      await once(socket, "connect");
      return new Caller(socket, status);
    }),
  );
}

async function load(callers: readonly Caller[], requests: readonly Buffer[], goesOn: (count: number) => boolean): Promise<LoadReport> {
  const latencies: number[] = [];
  const startedMs = performance.now();
  let next = 0;
  const loop = async (caller: Caller): Promise<void> => {
    for (let count = 0, at = performance.now(); goesOn(count); count++) {
      await caller.ask(requests[next++ % requests.length] ?? Buffer.alloc(0));
      const now = performance.now();
      latencies.push(now - at);
      at = now;
    }
  };
  await Promise.all(callers.map(loop));
  return { latencies, elapsedMs: performance.now() - startedMs };
}

async function execute(order: LoadOrder): Promise<void> {
  const requests = order.requests.map((text) => Buffer.from(text));
  const callers = await open(order);
  await load(callers, requests, (count) => count < FIRST_REQUESTS);
  process.send?.("begun");
  const endMs = performance.now() + order.durationMs;
  const report = await load(callers, requests, () => performance.now() < endMs);
  for (const caller of callers) caller.end();
  process.send?.(report);
}

process.on("message", (order: LoadOrder) => {
  execute(order).catch((error: unknown) => {
    console.error(error);
    process.exit(1);
  });
});
process.on("disconnect", () => process.exit());
