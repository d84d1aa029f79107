/** Program: asks for streams over HTTP/1.1, at a fixed rate whatever the answers do, or many that stay open, and tells what came of them. */
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { setTimeout as pause } from "node:timers/promises";

/** What to do; `finish` waits for the end of all that `open` has opened. */
export type CallersOrder =
  | {
      readonly kind: "pace";
      readonly port: number;
      readonly requests: readonly string[];
      readonly perSecond: number;
      readonly seconds: number;
    }
  | { readonly kind: "open"; readonly port: number; readonly requests: readonly string[]; readonly count: number }
  | { readonly kind: "finish" };

/** What came of it. */
export interface CallersReport {
  /** From the request until the first event, for each stream. */
  readonly firstEventMs: readonly number[];
  /** Streams that have come whole, to their last event. */
  readonly whole: number;
  /** Streams that have broken off or are no streams, and what the first of them said. */
  readonly lost: number;
  readonly reason: string;
}

/** Connections that are opened at once. */
const AT_ONCE = 100;
const FIRST_EVENT = "\ndata: ";
const LAST_EVENT = "data: [DONE]";
const END = "0\r\n\r\n";
/** So much of the end of what came is kept: the last event and what closes the body may come in two pieces. */
const TAIL = 64;

/** One connection with at most one stream under way. */
class Caller {
  readonly #socket: Socket;
  #text = "";
  #isStream = false;
  #began: () => void = () => {};
  #ended: (problem: string | undefined) => void = () => {};

  constructor(socket: Socket) {
    this.#socket = socket;
    socket.setNoDelay(true);
    socket.setEncoding("latin1");
    socket.on("data", (piece) => this.#take(String(piece)));
    socket.on("error", (error) => this.#ended(error.message));
    socket.on("close", () => this.#ended("the connection was closed"));
  }

  /** `begun` with the first event (or the end, if that comes before), `over` with the end: with what is wrong about it, if anything is. */
  ask(request: string): { readonly begun: Promise<void>; readonly over: Promise<string | undefined> } {
    const { promise: begun, resolve: began } = Promise.withResolvers<void>();
    const { promise: over, resolve: ended } = Promise.withResolvers<string | undefined>();
    this.#text = "";
    this.#isStream = false;
    this.#began = began;
    this.#ended = (problem) => {
      began();
      ended(problem);
    };
    this.#socket.write(request);
    return { begun, over };
  }

  end(): void {
    this.#socket.destroy();
  }

  #take(piece: string): void {
    this.#text += piece;
    if (!this.#isStream) {
      if (!this.#text.startsWith("HTTP/1.1 200 ")) return this.#ended(this.#text.slice(0, 500));
      if (!this.#text.includes(FIRST_EVENT)) return;
      this.#isStream = true;
      this.#began();
    }
    // each piece is read once: what this takes of its core is missing there for the others
    const isLast = this.#text.includes(LAST_EVENT);
    if (this.#text.endsWith(END)) this.#ended(isLast ? undefined : "a stream without its last event");
    else this.#text = this.#text.slice(-TAIL);
  }
}

async function open(port: number): Promise<Caller> {
  const socket = connect(port, "127.0.0.1");
  await once(socket, "connect");
  return new Caller(socket);
}

function reportOf(firstEventMs: readonly number[], problems: readonly (string | undefined)[]): CallersReport {
  const lost = problems.filter((problem) => problem !== undefined);
  return { firstEventMs, whole: problems.length - lost.length, lost: lost.length, reason: lost[0] ?? "" };
}

async function pace({ port, requests, perSecond, seconds }: Extract<CallersOrder, { kind: "pace" }>): Promise<CallersReport> {
  const idle: Caller[] = [];
  const firstEventMs: number[] = [];
  const ask = async (request: string): Promise<string | undefined> => {
    const caller = idle.pop() ?? (await open(port));
    const askedMs = performance.now();
    const { begun, over } = caller.ask(request);
    await begun;
    firstEventMs.push(performance.now() - askedMs);
    const problem = await over;
    if (problem === undefined) idle.push(caller);
    return problem;
  };
  const asked: Promise<string | undefined>[] = [];
  const startedMs = performance.now();
  for (let count = 0; count < perSecond * seconds; count++) {
    const waitMs = startedMs + (count * 1_000) / perSecond - performance.now();
    if (waitMs > 0) await pause(waitMs);
    asked.push(ask(requests[count % requests.length] ?? ""));
  }
  const report = reportOf(firstEventMs, await Promise.all(asked));
  for (const caller of idle) caller.end();
  return report;
}

const opened: { readonly caller: Caller; readonly over: Promise<string | undefined> }[] = [];

async function openMany({ port, requests, count }: Extract<CallersOrder, { kind: "open" }>): Promise<CallersReport> {
  const openOne = async (_: unknown, at: number): Promise<string | undefined> => {
    const caller = await open(port);
    const { begun, over } = caller.ask(requests[at % requests.length] ?? "");
    opened.push({ caller, over });
    await begun;
    return await Promise.race([over, Promise.resolve(undefined)]);
  };
  const problems: (string | undefined)[] = [];
  while (problems.length < count) {
    problems.push(...(await Promise.all(Array.from({ length: Math.min(AT_ONCE, count - problems.length) }, openOne))));
  }
  return reportOf([], problems);
}

async function finish(): Promise<CallersReport> {
  const all = opened.splice(0);
  const report = reportOf([], await Promise.all(all.map(({ over }) => over)));
  for (const { caller } of all) caller.end();
  return report;
}

async function execute(order: CallersOrder): Promise<CallersReport> {
  switch (order.kind) {
    case "pace":
      return await pace(order);
    case "open":
      return await openMany(order);
    case "finish":
      return await finish();
  }
}

process.on("message", (order: CallersOrder) => {
  execute(order).then(
    (report) => process.send?.(report),
    (error: unknown) => {
      console.error(error);
      process.exit(1);
    },
  );
});
process.on("disconnect", () => process.exit());
