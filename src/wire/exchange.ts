import { Fault, toFault } from "../kernel/index.ts";
import { isStream, StreamAnswer, toBytes, toFields, WholeAnswer, discard } from "./answer.ts";
import { BodyCollector } from "./body.ts";
import { BodyStream } from "./body-stream.ts";
import type { CallerPort } from "./caller-port.ts";
import { Forwarding } from "./forwarding.ts";
import type { Answer, Exchange, ExchangeEnd, Forward, HeaderEdit, HttpHandler } from "./http.ts";
import type { Head } from "./http1/request-parser.ts";

/** What makes the answer at the moment. */
export interface AnswerSource {
  /** The caller takes bytes again. */
  onDrain(): void;
  /** Nobody wants the answer any more. */
  abort(): void;
}

const NOTHING_EARLY = Buffer.alloc(0);
/** Bodies up to this go out in one piece with their head. */
const WHOLE_BYTES_MAX = 64 * 1024;

/** One request and its answer, for every protocol a caller may speak. */
export class WireExchange implements Exchange {
  readonly head: Head;
  readonly port: CallerPort;
  /** The caller asks for another protocol, and may get it. */
  joinable = false;
  /** What a caller that asks for another protocol sent ahead. */
  early: Buffer = NOTHING_EARLY;
  /** The request behind it on the same connection. */
  next: WireExchange | undefined;
  /** Whether its answer may be sent now; before it others have to be answered. */
  #turn: boolean;
  #waiting: Answer | Forward | undefined;
  #taken = false;
  /** The wire has answered instead of the handler. */
  #overruled = false;
  #bodyAsked = false;
  #source: AnswerSource | undefined;
  #abort: AbortController | undefined;
  #listeners: ((end: ExchangeEnd) => void) | ((end: ExchangeEnd) => void)[] | undefined;
  ended = false;
  /** Fields may follow the body of its answer. */
  trails = false;
  status = 0;
  bytesIn = 0;
  bytesOut = 0;

  constructor(head: Head, port: CallerPort, turn: boolean) {
    this.head = head;
    this.port = port;
    this.#turn = turn;
  }

  get hasBody(): boolean {
    return this.head.framing.kind !== "none";
  }

  get signal(): AbortSignal {
    if (!this.#abort) {
      this.#abort = new AbortController();
      if (this.ended) this.#abort.abort(new Error("the exchange is over"));
    }
    return this.#abort.signal;
  }

  /** Lets the handler have it. Whatever the handler does wrong becomes a refusal. */
  dispatch(handler: HttpHandler): void {
    try {
      const made = handler.handle(this);
      if (made === undefined) return;
      if (made instanceof Promise) {
        made.then(
          (answer) => answer && this.answer(answer),
          (error: unknown) => this.refuse(toFault(error)),
        );
      } else this.answer(made);
    } catch (error) {
      this.refuse(toFault(error));
    }
  }

  readBody(bytesMax: number): Promise<Uint8Array> {
    this.#askBody();
    const collector = new BodyCollector(this, bytesMax);
    return collector.read();
  }

  streamBody(bytesMax: number, signal: AbortSignal): AsyncIterable<Uint8Array> {
    this.#askBody();
    return new BodyStream(this, bytesMax, signal);
  }

  /** Marks the body as asked for, which happens once. */
  #askBody(): void {
    if (this.#bodyAsked) throw new Error("the body of this request was read before");
    this.#bodyAsked = true;
  }

  answer(answer: Answer): void {
    if (this.#overruled || this.ended) return void discard(answer);
    this.#take();
    if (this.#turn) this.#send(answer);
    else this.#waiting = answer;
  }

  forward(forward: Forward): void {
    if (this.#overruled || this.ended) return;
    if (forward.body === "pass" && this.hasBody) this.#askBody();
    this.#take();
    if (this.#turn) this.startForward(forward);
    else this.#waiting = forward;
  }

  onEnd(listener: (end: ExchangeEnd) => void): void {
    if (this.ended) listener(this.#end(this.status === 0));
    else if (this.#listeners === undefined) this.#listeners = listener;
    else if (typeof this.#listeners === "function") this.#listeners = [this.#listeners, listener];
    else this.#listeners.push(listener);
  }

  /** It is first in line now. */
  takeTurn(): void {
    this.#turn = true;
    const waiting = this.#waiting;
    this.#waiting = undefined;
    if (waiting === undefined) return;
    if ("pool" in waiting) this.startForward(waiting);
    else this.#send(waiting);
  }

  /** Answers with a refusal, unless an answer was begun: then it is broken. */
  refuse(fault: Fault): void {
    this.stop(() => this.port.refusal(fault));
  }

  stop(make: () => Answer): void {
    if (this.ended || this.#overruled) return;
    this.#overruled = true;
    this.#taken = true;
    this.#abort?.abort(new Error("the exchange was ended"));
    this.#stopSource();
    if (this.#waiting !== undefined && !("pool" in this.#waiting)) void discard(this.#waiting);
    this.#waiting = undefined;
    if (this.status !== 0) return this.port.reset();
    const answer = make();
    if (this.#turn) this.#send(answer);
    else this.#waiting = answer;
  }

  /** The answer of whatever source there was is replaced by this one. */
  replace(answer: Answer): void {
    if (this.ended) return void discard(answer);
    this.#source = undefined;
    this.#send(answer);
  }

  /** One try at an upstream. */
  startForward(forward: Forward, forwarding = new Forwarding(this)): void {
    this.#source = forwarding;
    forwarding.try(forward);
  }

  /** The head of the answer. */
  begin(status: number, fields: HeaderEdit, length: number | undefined, bodyless: boolean): void {
    this.status = status;
    this.port.begin(status, fields, length, bodyless);
  }

  /** The answer is complete. */
  finish(trailers?: HeaderEdit): void {
    this.#source = undefined;
    this.port.finish(trailers);
  }

  onDrain(): void {
    this.#source?.onDrain();
  }

  /** Nothing of it is open any more; `aborted` says that the caller did not get all of the answer. */
  close(aborted: boolean): void {
    if (this.ended) return;
    this.ended = true;
    this.#stopSource();
    if (this.#waiting !== undefined && !("pool" in this.#waiting)) void discard(this.#waiting);
    this.#waiting = undefined;
    if (aborted) this.#abort?.abort(new Error("the caller went away"));
    const listeners = this.#listeners;
    this.#listeners = undefined;
    if (listeners === undefined) return;
    const end = this.#end(aborted);
    if (typeof listeners === "function") listeners(end);
    else for (const listener of listeners) listener(end);
  }

  #end(aborted: boolean): ExchangeEnd {
    return { status: this.status, aborted, bytesIn: this.bytesIn, bytesOut: this.bytesOut };
  }

  #take(): void {
    if (this.#taken) throw new Error("this exchange was answered before");
    this.#taken = true;
  }

  #stopSource(): void {
    const source = this.#source;
    this.#source = undefined;
    source?.abort();
  }

  #send(answer: Answer): void {
    let fields: HeaderEdit;
    try {
      fields = toFields(answer);
    } catch (error) {
      void discard(answer);
      return this.#sendChecked(this.#refusalFor(error));
    }
    this.#sendBody(answer, fields);
  }

  /** The refusal that says that the answer could not be sent. One that cannot be sent either ends the exchange. */
  #refusalFor(error: unknown): Answer {
    this.#overruled = true;
    return this.port.refusal(new Fault("internal", error instanceof Error ? error.message : String(error), { cause: error }));
  }

  #sendChecked(answer: Answer): void {
    try {
      this.#sendBody(answer, toFields(answer));
    } catch {
      this.port.reset();
    }
  }

  #sendBody(answer: Answer, fields: HeaderEdit): void {
    const { status, body } = answer;
    const bodyless = this.head.method === "HEAD" || status === 204 || status === 304;
    if (bodyless) {
      const bytes = body === undefined || isStream(body) ? answer.bodyBytes : toBytes(body).length;
      void discard(answer);
      this.begin(status, fields, status === 204 ? undefined : (bytes ?? lengthSaid(answer)), true);
      return this.finish();
    }
    if (isStream(body)) {
      const source = new StreamAnswer(this, body, answer.bodyBytes);
      this.#source = source;
      this.begin(status, fields, answer.bodyBytes, false);
      return source.start();
    }
    if (typeof body === "string" && Buffer.byteLength(body) === body.length && body.length < WHOLE_BYTES_MAX) {
      // ASCII only, which is the same in latin1
      this.begin(status, fields, body.length, false);
      this.bytesOut = body.length;
      this.port.writeText(body);
      return this.finish();
    }
    this.#sendBytes(status, fields, toBytes(body));
  }

  #sendBytes(status: number, fields: HeaderEdit, bytes: Uint8Array): void {
    this.begin(status, fields, bytes.length, false);
    if (bytes.length > WHOLE_BYTES_MAX) {
      const source = new WholeAnswer(this, bytes);
      this.#source = source;
      return source.onDrain();
    }
    this.bytesOut = bytes.length;
    if (bytes.length > 0) this.port.write(bytes);
    this.finish();
  }
}

/** What an answer to HEAD says of the body that GET would have. */
function lengthSaid(answer: Answer): number | undefined {
  const said = answer.headers["content-length"];
  return typeof said === "string" && /^[0-9]{1,15}$/.test(said) ? Number(said) : undefined;
}
