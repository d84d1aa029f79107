import type { Socket } from "node:net";
import { Fault, toFault } from "../../kernel/index.ts";
import { cutShort } from "../body.ts";
import type { CallerPort, RequestSink } from "../caller-port.ts";
import { WireExchange } from "../exchange.ts";
import type { Answer, HeaderEdit } from "../http.ts";
import type { House } from "../house.ts";
import { answerHead, CONTINUE, interimHead, switchHead } from "./answer-head.ts";
import { AnswerWriter } from "./answer-writer.ts";
import { BodyDecoder, type BodySink, NO_BODY } from "./body-decoder.ts";
import { CallerInput } from "./caller-input.ts";
import { CallerLimits } from "./caller-limits.ts";
import { CR, END_OF_HEAD, LF, TOKEN } from "./characters.ts";
import { emptyHead, type Ends, type Head, parseRequestHead } from "./request-parser.ts";
import { ExchangeQueue } from "./exchange-queue.ts";
import { Farewell } from "./farewell.ts";
import { SocketFlow } from "./socket-flow.ts";
import { splice } from "./splice.ts";
import type { UpstreamConnection } from "./upstream-connection.ts";
import { offerUpgrade } from "./upgrade.ts";
import { SocketWriter } from "./socket-writer.ts";

const NOTHING: BodySink = { piece: () => undefined };

/** One connection of a caller: its requests, one after the other, and their answers in the same order. */
export class CallerConnection implements CallerPort {
  readonly #house: House;
  readonly #socket: Socket;
  readonly #ends: Ends;
  readonly #decoder = new BodyDecoder();
  readonly #limits: CallerLimits;
  readonly #out: SocketWriter;
  readonly #writer: AnswerWriter;
  readonly #flow: SocketFlow;
  readonly #input = new CallerInput();
  readonly #queue = new ExchangeQueue();
  readonly #farewell: Farewell;
  /** The exchange whose body is not complete, and where that goes. */
  #reading: WireExchange | undefined;
  #sink: RequestSink | undefined;
  /** The caller of the exchange that is read waits to be told to send its body. */
  #waits = false;
  /** It will be told when its answer is next. */
  #owesContinue = false;
  /** No request is taken any more: behind this point nothing is certain, or the connection is about to end. */
  #final = false;
  #detached = false;
  readonly #onEnd = (): void => this.#callerEnded();

  constructor(house: House, socket: Socket, ends: Ends) {
    this.#house = house;
    this.#socket = socket;
    this.#ends = ends;
    this.#limits = new CallerLimits(house.wheel, () => this.#expire());
    this.#out = new SocketWriter(
      socket,
      () => this.#blocked(),
      () => this.#drained(),
    );
    this.#writer = new AnswerWriter(this.#out);
    this.#farewell = new Farewell(socket, this.#out, this.#decoder, this.#limits, house.bounds);
    // an "error" without a listener would end the process
    socket.on("end", this.#onEnd).on("error", () => socket.destroy());
    socket.once("close", () => this.#closed());
    this.#flow = new SocketFlow(socket, ends.scheme === "http", (bytes) => this.#received(bytes));
    this.#limits.waits(house.bounds.headersTimeoutMs);
    this.#limits.arm();
  }

  /** Nothing is under way on it and nothing has begun to come. */
  get idle(): boolean {
    return this.#queue.count === 0 && this.#input.bytes === undefined && !this.#farewell.begun;
  }

  refusal(fault: Fault): Answer {
    return this.#house.handler.refuse(fault);
  }

  /** Ends it when nothing is under way. */
  leave(): void {
    if (this.idle) this.#end();
  }

  destroy(): void {
    this.#socket.destroy();
  }

  // --- reading

  #received(bytes: Buffer): void {
    if (this.#farewell.begun) return this.#farewell.receive(bytes);
    if (this.#final && !this.#reading) return;
    this.#run(this.#input.open(bytes));
  }

  /** Reads as far as it goes: heads while there is room for more requests, bodies while somebody takes them. */
  #run(bytes: Buffer): void {
    const input = this.#input;
    try {
      while (input.at < bytes.length && this.#step(bytes));
    } catch (error) {
      this.#broken(toFault(error));
    }
    const left = input.close((!this.#final || this.#reading !== undefined) && !this.#detached && !this.#farewell.begun);
    if (this.#socket.destroyed) return;
    this.#sink?.flush();
    this.#flow.hold(left && (this.#reading !== undefined || !this.#hasRoom));
    this.#limits.arm();
  }

  /** Another request may begin. A caller that sends on and on and takes no answer would have all of them wait here. */
  get #hasRoom(): boolean {
    return this.#queue.count < this.#house.bounds.pipelinedMax && !this.#out.blocked;
  }

  /** One step of reading; false when it cannot go on now. */
  #step(bytes: Buffer): boolean {
    if (!this.#reading) return !this.#final && this.#hasRoom && this.#readHead(bytes);
    if (!this.#sink) return false;
    this.#input.at = this.#decoder.decode(bytes, this.#input.at, this.#sink, this.#input.madeText);
    if (!this.#decoder.done) return false;
    this.#bodyEnded();
    return true;
  }

  #readHead(bytes: Buffer): boolean {
    const { bounds, rules } = this.#house;
    // one empty line may precede a request (RFC 9112, 2.2)
    const { at } = this.#input;
    const start = bytes[at] === CR && bytes[at + 1] === LF ? at + 2 : at;
    // one look at the bytes for all that is done with them: each costs as much as a hundred characters
    const text = this.#input.text();
    const end = text === undefined ? bytes.indexOf(END_OF_HEAD, start) : text.indexOf(END_OF_HEAD, start);
    const size = (end === -1 ? bytes.length : end + 4) - start;
    if (size > bounds.headerBytesMax) throw refused("The header fields are too large.");
    if (end === -1) {
      const half = size === 1 && start === at && bytes[at] === CR; // of that empty line
      if (size > 0 && TOKEN[bytes[start] ?? 0] !== 1 && !half) throw refused("The request is not HTTP/1.1.");
      this.#limits.headBegins(bounds.headersTimeoutMs);
      return false;
    }
    this.#limits.headEnds();
    const head =
      text === undefined
        ? parseRequestHead(bytes.toString("latin1", start, end + 4), rules, this.#ends)
        : parseRequestHead(text, rules, this.#ends, start, end + 4);
    this.#input.at = end + 4;
    this.#begin(head);
    return true;
  }

  #begin(head: Head): void {
    const { bounds, handler } = this.#house;
    const exchange = this.#enqueue(head);
    if (!head.keepAlive) this.#final = true;
    if (head.framing !== NO_BODY) {
      this.#reading = exchange;
      this.#waits = head.waits;
      this.#decoder.begin(head.framing);
      this.#limits.bodyBegins(bounds.requestTimeoutMs);
    }
    if (head.upgrade) this.#upgrade(exchange);
    else exchange.dispatch(handler);
  }

  #enqueue(head: Head): WireExchange {
    const exchange = new WireExchange(head, this, this.#queue.first === undefined);
    this.#queue.add(exchange);
    return exchange;
  }

  #bodyEnded(): void {
    const sink = this.#sink;
    this.#reading = this.#sink = undefined;
    this.#limits.bodyEnds();
    this.#flow.free();
    sink?.end();
  }

  /** The request cannot be read on. It is refused once, after the answers before it. */
  #broken(fault: Fault): void {
    const exchange = this.#reading;
    const sink = this.#sink;
    this.#final = true;
    this.#reading = this.#sink = undefined;
    this.#flow.sate(false);
    this.#limits.stopReading();
    sink?.fail(fault);
    if (this.#farewell.begun) return;
    (exchange ?? this.#enqueue(emptyHead(this.#ends))).refuse(fault);
  }

  #callerEnded(): void {
    if (this.#farewell.begun) this.#farewell.callerEnded();
    else if (this.#reading) this.#broken(cutShort());
    else if (this.#queue.first) this.#socket.destroy();
    else this.#end();
  }

  #closed(): void {
    this.#limits.close();
    this.#house.forget(this);
    const sink = this.#sink;
    this.#sink = this.#reading = undefined;
    sink?.fail(cutShort());
    this.#queue.close(!this.#detached);
  }

  // --- the body of a request

  takeBody(exchange: WireExchange, sink: RequestSink): void {
    if (this.#reading !== exchange) return sink.end();
    this.#sink = sink;
    if (this.#waits) this.#tellToContinue(exchange);
    if (this.#input.isOpen) return; // the loop that reads goes on with it
    this.#readOn();
  }

  pauseBody(): void {
    if (this.#reading) this.#flow.sate(true);
  }

  resumeBody(): void {
    if (!this.#reading || !this.#flow.sated) return;
    this.#flow.sate(false);
    if (!this.#input.isOpen) this.#readOn();
  }

  /** What waits here is read, then the socket. */
  #readOn(): void {
    const rest = this.#input.reopen();
    if (rest) return this.#run(rest);
    this.#flow.hold(false);
    this.#limits.arm();
  }

  #tellToContinue(exchange: WireExchange): void {
    this.#waits = false;
    this.#owesContinue = exchange !== this.#queue.first;
    if (this.#owesContinue) return;
    this.#out.text(CONTINUE);
    this.#out.send();
  }

  /** Throws away what is here of a body that nobody took; true when that was all of it. */
  #dropBody(): boolean {
    const { bytes, at } = this.#input;
    if (bytes === undefined || this.#waits) return false;
    this.#input.use(this.#decoder.decode(bytes, at, NOTHING));
    if (!this.#decoder.done) return false;
    this.#bodyEnded();
    return true;
  }

  // --- the answer

  interim(status: number, fields: HeaderEdit): void {
    // HTTP/1.0 has none, and whoever takes nothing shall not have more waiting
    if (this.#queue.first?.head.version !== "1.1" || this.#out.blocked) return;
    this.#out.text(interimHead(status, fields));
    this.#out.flush();
  }

  begin(status: number, fields: HeaderEdit, length: number | undefined, bodyless: boolean): void {
    const exchange = this.#queue.first;
    if (!exchange) return;
    if (this.#house.closing && !exchange.next) this.#final = true;
    // somebody still reads it, or it has not come: the next request would have to wait for the rest of this one
    if (this.#reading === exchange && (this.#sink !== undefined || !this.#dropBodySafely())) this.#final = true;
    const chunked = length === undefined && !bodyless && exchange.head.version === "1.1";
    this.#writer.begin(
      answerHead(status, fields, bodyless && status === 204 ? undefined : length, chunked, this.#final && !exchange.next),
      chunked,
    );
  }

  #dropBodySafely(): boolean {
    try {
      return this.#dropBody();
    } catch {
      return false; // what comes behind it is not read
    }
  }

  write(bytes: Uint8Array): void {
    this.#writer.write(bytes);
  }

  writeText(latin1: string): void {
    this.#writer.writeText(latin1);
  }

  flush(): boolean {
    return this.#out.flush();
  }

  finish(trailers?: HeaderEdit): void {
    const exchange = this.#queue.first;
    if (!exchange) return;
    this.#writer.end(trailers);
    this.flush();
    this.#queue.shift();
    exchange.close(false);
    if (exchange.next) this.#nextTurn(exchange.next);
    else if (this.#final) this.#end();
    else this.#limits.waits(this.#house.bounds.keepAliveTimeoutMs);
    if (!this.#input.isOpen && !this.#farewell.begun) this.#readOn();
  }

  #nextTurn(exchange: WireExchange): void {
    if (this.#owesContinue && exchange === this.#reading) this.#tellToContinue(exchange);
    exchange.takeTurn();
  }

  reset(): void {
    // an end would look like success where the end of the connection is the end of the body
    if (this.#ends.scheme === "http") this.#socket.resetAndDestroy();
    else this.#socket.destroy();
  }

  #blocked(): void {
    this.#limits.stalls(this.#house.bounds.stallTimeoutMs);
    this.#limits.arm();
  }

  #drained(): void {
    if (this.#detached) return;
    this.#limits.flows();
    this.#limits.arm();
    this.#queue.first?.onDrain();
    if (!this.#farewell.begun) this.#readOn();
  }

  // --- another protocol

  #upgrade(exchange: WireExchange): void {
    this.#final = true;
    // an answer to an earlier request may still be on its way: two writers on one connection would mix them
    if (this.#queue.count > 1) return void this.#socket.destroy();
    if (exchange.head.method !== "GET" || this.#reading) return exchange.refuse(refused("An upgrade is a GET without a body."));
    exchange.joinable = true;
    const early = Buffer.from(this.#input.bytes?.subarray(this.#input.at) ?? "");
    this.#flow.sate(true); // until it is known whom the rest is for
    offerUpgrade(this.#house.handler, exchange, early, this.#socket, () => this.#detach());
  }

  join(fields: HeaderEdit, protocol: string, upstream: UpstreamConnection): void {
    const exchange = this.#queue.first;
    if (!exchange) return upstream.destroy();
    exchange.status = 101;
    this.#out.text(switchHead(fields, protocol));
    const early = exchange.early;
    this.#detach();
    splice(this.#socket, early, upstream, exchange, () => {
      this.#limits.waits(this.#house.bounds.keepAliveTimeoutMs);
      this.#limits.arm();
    });
  }

  /** The socket belongs to somebody else now; only its end is still ours to see. */
  #detach(): void {
    if (this.#detached) return;
    this.#detached = true;
    this.#out.send();
    if (!this.#input.isOpen) this.#input.drop(); // the new owner has it
    this.#limits.stopReading();
    this.#limits.flows();
    this.#limits.arm();
    this.#socket.off("end", this.#onEnd);
    this.#flow.release();
  }

  // --- the end of the connection

  #end(): void {
    if (!this.#input.isOpen) this.#input.drop();
    this.#farewell.begin(this.#reading !== undefined && !this.#waits);
    this.#flow.free();
  }

  // --- time limits

  #expire(): void {
    if (this.#limits.isStalled) return void this.#socket.destroy();
    if (this.#limits.isLate) this.#broken(refused("The request did not arrive in time."));
    else if (this.#limits.isIdle) this.#expireIdle();
    this.#limits.arm();
  }

  #expireIdle(): void {
    if (this.#farewell.begun) this.#farewell.expire();
    else if (this.#detached) this.#socket.destroy();
    else this.#end();
  }
}

function refused(detail: string): Fault {
  return new Fault("malformed_request", detail, { public: { detail } });
}
