import { Fault, toFault } from "../kernel/index.ts";
import { GrowingBuffer } from "./body.ts";
import type { RequestSink } from "./caller-port.ts";
import type { AnswerSource, WireExchange } from "./exchange.ts";
import type { Answer, Forward, ForwardFailure, ResponsePlan } from "./http.ts";
import { TOKEN } from "./http1/characters.ts";
import type { UpstreamHead } from "./http1/response-parser.ts";
import type { UpstreamConnection, UpstreamUser } from "./http1/upstream-connection.ts";
import { ConnectionPool, type Seeker } from "./http1/upstream-pool.ts";

/** Pieces up to this are sent as text together with what stands before them: one write costs more than the copy. */
export const TEXT_BYTES_MAX = 8 * 1024;
/** How much of a caller's body is kept for another try. */
const REPLAY_BYTES_MAX = 64 * 1024;
/** How much of an unwanted answer is read so that its connection can be used again. */
const DRAIN_BYTES_MAX = 64 * 1024;

/** Methods that may be sent twice (RFC 9110, 9.2.2). */
const IDEMPOTENT: ReadonlySet<string> = new Set(["GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE"]);
/** Methods whose body is expected, so that its absence is said (RFC 9110, 8.6). */
const WITH_BODY: ReadonlySet<string> = new Set(["POST", "PUT", "PATCH"]);
const VISIBLE = /^[!-~]+$/;

/** One exchange at upstreams, over any number of tries: what the caller sends goes there, what comes back goes to the caller by the plan. */
export class Forwarding implements AnswerSource, RequestSink, Seeker {
  wanted = true;
  readonly #exchange: WireExchange;
  #forward: Forward | undefined;
  #connection: UpstreamConnection | undefined;
  #plan: ResponsePlan | undefined;
  #collected: GrowingBuffer | undefined;
  #bodyless = false;
  /** The caller's body as far as it came; undefined when it is too long to be sent again. */
  #kept: string | undefined = "";
  #bodyBegun = false;
  #bodyEnded = false;
  #sent = false;

  constructor(exchange: WireExchange) {
    this.#exchange = exchange;
  }

  try(forward: Forward): void {
    this.#forward = forward;
    this.#sent = false;
    this.#plan = undefined;
    if (forward.body === "pass" && this.#bodyBegun && this.#kept === undefined) {
      return this.#exchange.refuse(new Fault("internal", "a body that is gone was to be sent again"));
    }
    if (!(forward.pool instanceof ConnectionPool)) throw new Error("a pool of another make");
    forward.pool.acquire(this, forward);
  }

  onReady(connection: UpstreamConnection): void {
    const forward = this.#forward;
    if (!forward || !this.wanted) return connection.destroy();
    this.#connection = connection;
    try {
      connection.begin(forward.method, this.#head(forward), forward.timeouts);
    } catch (error) {
      this.#connection = undefined;
      connection.destroy();
      return this.#exchange.refuse(toFault(error));
    }
    this.#sent = true;
    if (forward.body === "pass" && this.#exchange.hasBody) return this.#passBody(connection);
    if (forward.body !== "pass" && forward.body) connection.write(forward.body);
    connection.complete();
    connection.flush();
  }

  // --- the caller's body

  piece(bytes: Buffer, start: number, end: number): void {
    const connection = this.#connection;
    this.#exchange.bytesIn += end - start;
    const small = end - start <= TEXT_BYTES_MAX;
    const text = small ? bytes.latin1Slice(start, end) : "";
    if (this.#kept !== undefined) this.#kept = small && this.#kept.length + text.length <= REPLAY_BYTES_MAX ? this.#kept + text : undefined;
    if (!connection) return;
    const chunked = this.#exchange.head.framing.kind === "chunked";
    if (chunked) connection.writeText(`${(end - start).toString(16)}\r\n`);
    if (small) connection.writeText(text);
    else connection.write(bytes.subarray(start, end));
    if (chunked) connection.writeText("\r\n");
  }

  flush(): void {
    if (this.#connection && !this.#connection.flush()) this.#exchange.port.pauseBody();
  }

  end(): void {
    this.#bodyEnded = true;
    if (this.#connection) this.#endRequest(this.#connection);
  }

  fail(): void {
    // the wire refuses the request, which ends this as well
  }

  onDrain(): void {
    this.#exchange.port.resumeBody();
    // the caller's side may be what drained
    this.#connection?.resume();
  }

  // --- the upstream's answer

  onHead(head: UpstreamHead): void {
    const forward = this.#forward;
    if (!forward) return;
    let plan: ResponsePlan;
    try {
      plan = forward.onResponse(head);
    } catch (error) {
      return this.#exchange.refuse(toFault(error));
    }
    if (head.status === 101 && (!forward.upgrade || plan.kind !== "pass" || !this.#exchange.port.join)) {
      if (plan.kind === "pass" || plan.kind === "map" || plan.kind === "collect") return this.#connection?.reject("an upgrade nobody asked for");
    }
    this.#begin(head, plan);
  }

  receive(bytes: Buffer, start: number, end: number): void {
    const plan = this.#plan;
    if (!plan || this.#bodyless) return;
    if (plan.kind === "pass") this.#pass(bytes, start, end);
    else if (plan.kind === "map") this.#give(plan.map(Buffer.from(bytes.subarray(start, end))));
    else if (plan.kind === "collect") this.#collect(plan, bytes, start, end);
  }
}
