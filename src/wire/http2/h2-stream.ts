import { constants, type ServerHttp2Stream } from "node:http2";
import { Fault, toFault } from "../../kernel/index.ts";
import { cutShort } from "../body.ts";
import type { CallerPort, RequestSink } from "../caller-port.ts";
import { WireExchange } from "../exchange.ts";
import type { Answer, HeaderEdit } from "../http.ts";
import type { House } from "../house.ts";
import { emptyHead, type Ends } from "../http1/request-parser.ts";
import type { UpstreamConnection } from "../http1/upstream-connection.ts";
import type { Timed } from "../timer-wheel.ts";
import { toHead } from "./h2-head.ts";

/** Fields by their name in lower case, as the library takes them. */
type H2Fields = Record<string, string | string[]>;

/** One request over HTTP/2, which is an exchange like any other: what is sent on is HTTP/1.1. */
export class H2Stream implements CallerPort, Timed {
  deadline = Infinity;
  turn = 0;
  /** The caller ended the stream before its answer was complete. */
  takenBack = false;
  readonly #house: House;
  readonly #stream: ServerHttp2Stream;
  readonly #ends: Ends;
  #exchange: WireExchange | undefined;
  #sink: RequestSink | undefined;
  #trailers: HeaderEdit | undefined;
  #bodyDone = false;
  #waits = false;
  #blocked = false;
  #bodyBy = Infinity;
  #stallBy = Infinity;

  constructor(house: House, stream: ServerHttp2Stream, ends: Ends) {
    this.#house = house;
    this.#stream = stream;
    this.#ends = ends;
  }

  /** Reads the head and lets the handler have the request. */
  open(raw: readonly string[]): void {
    const stream = this.#stream;
    stream.once("close", () => this.#closed());
    stream.on("drain", () => this.#drained());
    try {
      const head = toHead(raw, this.#house.rules, this.#house.bounds.headerBytesMax, this.#ends, !stream.endAfterHeaders);
      this.#exchange = new WireExchange(head, this, true);
      this.#bodyDone = !this.#exchange.hasBody;
      this.#waits = head.waits;
    } catch (error) {
      this.#exchange = new WireExchange(emptyHead(this.#ends), this, true);
      return this.#exchange.refuse(toFault(error));
    }
    if (!this.#bodyDone) this.#limitBody();
    this.#exchange.dispatch(this.#house.handler);
  }

  refusal(fault: Fault): Answer {
    return this.#house.handler.refuse(fault);
  }

  takeBody(_exchange: WireExchange, sink: RequestSink): void {
    if (this.#bodyDone) return sink.end();
    this.#sink = sink;
    if (this.#waits) this.#stream.additionalHeaders({ ":status": 100 });
    this.#waits = false;
    this.#stream.on("data", (bytes: Buffer) => this.#piece(bytes));
    this.#stream.once("end", () => this.#bodyEnded());
  }

  pauseBody(): void {
    this.#stream.pause();
  }

  resumeBody(): void {
    if (this.#sink) this.#stream.resume();
  }

  interim(status: number, fields: HeaderEdit): void {
    const stream = this.#stream;
    if (stream.destroyed || stream.headersSent || this.#blocked) return;
    try {
      stream.additionalHeaders({ ":status": String(status), ...toH2Fields(fields) });
    } catch {
      // a field that HTTP/2 has no place for, or twice; the final answer comes all the same
    }
  }

  begin(status: number, fields: HeaderEdit, length: number | undefined, bodyless: boolean): void {
    const stream = this.#stream;
    if (stream.destroyed || stream.headersSent) return;
    const headers: H2Fields = { ":status": String(status), ...toH2Fields(fields) };
    if (length !== undefined) headers["content-length"] = String(length);
    const trails = this.#exchange?.trails === true;
    if (trails) stream.once("wantTrailers", () => this.#sendTrailers());
    stream.respond(headers, { endStream: bodyless, waitForTrailers: trails });
  }

  /** The end of the stream, also when there are none. */
  #sendTrailers(): void {
    if (!this.#stream.destroyed) this.#stream.sendTrailers(this.#trailers ? toH2Fields(this.#trailers) : {});
  }

  write(bytes: Uint8Array): void {
    if (this.#stream.writable && !this.#stream.write(bytes)) this.#blocked = true;
  }

  writeText(latin1: string): void {
    if (latin1 !== "") this.write(Buffer.from(latin1, "latin1"));
  }

  finish(trailers?: HeaderEdit): void {
    this.#trailers = trailers;
    const exchange = this.#exchange;
    const stream = this.#stream;
    if (stream.writable) stream.end();
    // the rest of a body that nobody wants (RFC 9113, 8.1)
    if (!this.#bodyDone) stream.close(constants.NGHTTP2_NO_ERROR);
    else if (stream.writableLength > 0) this.#limitStall();
    exchange?.close(false);
  }

  flush(): boolean {
    if (!this.#blocked) return true;
    this.#limitStall();
    return false;
  }

  join(_fields: HeaderEdit, _protocol: string, upstream: UpstreamConnection): void {
    upstream.destroy(); // HTTP/2 has no change of protocol: no exchange of it is joinable
  }

  reset(): void {
    this.#stream.close(constants.NGHTTP2_INTERNAL_ERROR);
  }

  expire(): void {
    const { wheel } = this.#house;
    if (wheel.isOver(this.#stallBy)) return this.#stream.close(constants.NGHTTP2_CANCEL);
    if (!wheel.isOver(this.#bodyBy)) return this.#arm();
    this.#bodyBy = Infinity;
    const detail = "The request did not arrive in time.";
    this.#fail(new Fault("malformed_request", detail, { public: { detail } }));
  }

  #piece(bytes: Buffer): void {
    this.#sink?.piece(bytes, 0, bytes.length);
    this.#sink?.flush();
  }

  #bodyEnded(): void {
    const sink = this.#sink;
    if (this.#stream.aborted || this.#bodyDone) return;
    this.#sink = undefined;
    this.#bodyDone = true;
    this.#bodyBy = Infinity;
    this.#arm();
    sink?.end();
  }

  #drained(): void {
    this.#blocked = false;
    this.#stallBy = Infinity;
    this.#arm();
    this.#exchange?.onDrain();
  }

  #fail(fault: Fault): void {
    const sink = this.#sink;
    this.#sink = undefined;
    sink?.fail(fault);
    this.#exchange?.refuse(fault);
  }

  #closed(): void {
    const exchange = this.#exchange;
    this.#house.wheel.remove(this);
    this.takenBack = exchange?.ended === false;
    const sink = this.#sink;
    this.#sink = undefined;
    sink?.fail(cutShort());
    exchange?.close(true);
  }

  #limitBody(): void {
    this.#bodyBy = this.#house.wheel.after(this.#house.bounds.requestTimeoutMs);
    this.#arm();
  }

  #limitStall(): void {
    this.#stallBy = this.#house.wheel.after(this.#house.bounds.stallTimeoutMs);
    this.#arm();
  }

  #arm(): void {
    this.#house.wheel.setDeadline(this, Math.min(this.#bodyBy, this.#stallBy));
  }
}

function toH2Fields(fields: HeaderEdit): H2Fields {
  const made = Object.create(null) as H2Fields; // a field may be called constructor
  for (const [name, value] of fields.fields()) {
    const lower = name.toLowerCase();
    const known = made[lower];
    made[lower] = known === undefined ? value : [...(typeof known === "string" ? [known] : known), value];
  }
  return made;
}
