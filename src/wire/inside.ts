import { Fault } from "../kernel/index.ts";
import type { CallerPort, RequestSink } from "./caller-port.ts";
import { WireExchange } from "./exchange.ts";
import type { Answer, ExchangeEnd, Forward, HeaderEdit, RequestHead } from "./http.ts";
import { type Ends, emptyHead } from "./http1/request-parser.ts";
import type { UpstreamConnection } from "./http1/upstream-connection.ts";

/** A request that begins inside the program, for whatever answers requests from outside. */
export interface InsideCall {
  /** Without fields: nobody has sent it. */
  readonly head: RequestHead;
  readonly onEnd: (listener: (end: ExchangeEnd) => void) => void;
}

/** The whole answer to it. */
export interface InsideAnswer {
  readonly status: number;
  readonly body: Uint8Array;
}

/** What bounds it. */
export interface InsideBounds {
  readonly bytesMax: number;
  /** Ends it; its reason is what is thrown then. */
  readonly signal: AbortSignal;
}

const NOWHERE: Ends = { remoteAddress: "inside", remotePort: 0, localAddress: "inside", localPort: 0, scheme: "http" };

/**
 * The whole answer of what `begin` says, with all its tries at upstreams, as a caller would get it. Throws what `begin` throws, the fault of an
 * answer that could not be made, and `upstream_invalid` for one that breaks off or is over `bytesMax`.
 */
export async function answerInside(
  begin: (call: InsideCall) => Promise<Forward | Answer>,
  { bytesMax, signal }: InsideBounds,
): Promise<InsideAnswer> {
  signal.throwIfAborted();
  const port = new InsidePort(bytesMax);
  const exchange = new WireExchange(emptyHead(NOWHERE), port, true);
  port.onEnd = (aborted) => exchange.close(aborted);
  const stop = (): void => port.fail(signal.reason);
  signal.addEventListener("abort", stop, { once: true });
  try {
    const made = await begin({ head: exchange.head, onEnd: (listener) => exchange.onEnd(listener) });
    if ("pool" in made) exchange.forward(made);
    else exchange.answer(made);
    return await port.answer;
  } catch (error) {
    exchange.close(true);
    throw error;
  } finally {
    signal.removeEventListener("abort", stop);
  }
}

/** A caller that takes everything at once, up to its bound. */
class InsidePort implements CallerPort {
  readonly answer: Promise<InsideAnswer>;
  onEnd: (aborted: boolean) => void = () => undefined;
  readonly #bytesMax: number;
  readonly #pieces: Uint8Array[] = [];
  #bytes = 0;
  #status = 0;
  readonly #resolve: (answer: InsideAnswer) => void;
  readonly #reject: (reason: unknown) => void;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
    const { promise, resolve, reject } = Promise.withResolvers<InsideAnswer>();
    promise.catch(() => undefined); // it may fail before anybody waits for it
    this.answer = promise;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  /** Ends it without an answer. */
  fail(reason: unknown): void {
    this.#reject(reason);
    this.onEnd(true);
  }

  refusal(fault: Fault): Answer {
    this.#reject(fault); // the fault itself, and not its answer
    return { status: fault.status, headers: {}, body: undefined };
  }

  takeBody(_exchange: WireExchange, sink: RequestSink): void {
    sink.end();
  }

  pauseBody(): void {
    // it has none
  }

  resumeBody(): void {
    // it has none
  }

  interim(): void {
    // nobody waits for it
  }

  begin(status: number): void {
    this.#status = status;
  }

  write(bytes: Uint8Array): void {
    this.#bytes += bytes.length;
    if (this.#bytes > this.#bytesMax) this.fail(new Fault("upstream_invalid", `an answer over ${this.#bytesMax} bytes`));
    else this.#pieces.push(bytes);
  }

  writeText(latin1: string): void {
    this.write(Buffer.from(latin1, "latin1"));
  }

  finish(): void {
    this.#resolve({ status: this.#status, body: Buffer.concat(this.#pieces) });
    this.onEnd(false);
  }

  flush(): boolean {
    return true;
  }

  join(_fields: HeaderEdit, _protocol: string, upstream: UpstreamConnection): void {
    upstream.destroy(); // there is no connection to join it with
  }

  reset(): void {
    this.fail(new Fault("upstream_invalid", "the answer broke off"));
  }
}
