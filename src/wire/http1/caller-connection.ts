import type { Socket } from "node:net";
import { Fault, toFault } from "../../kernel/index.ts";
import { cutShort } from "../body.ts";
import type { CallerPort, RequestSink } from "../caller-port.ts";
import { WireExchange } from "../exchange.ts";
import type { Answer, HeaderEdit } from "../http.ts";
import type { House } from "../house.ts";
import { answerHead } from "./answer-head.ts";
import { TEXT_BYTES_MAX } from "../request-pass.ts";
import { AnswerWriter } from "./answer-writer.ts";
import { BodyDecoder, type BodySink, NO_BODY } from "./body-decoder.ts";
import { CallerLimits } from "./caller-limits.ts";
import { CR, END_OF_HEAD, LF, TOKEN } from "./characters.ts";
import { brokenHead, type Ends, type Head, parseRequestHead } from "./request-parser.ts";
import { Farewell } from "./farewell.ts";
import { SocketFlow } from "./socket-flow.ts";
import { splice } from "./splice.ts";
import type { UpstreamConnection } from "./upstream-connection.ts";
import { createUpgrade } from "./upgrade.ts";
import { READ_BUFFER, readAsStream, readInto, readView } from "./raw-socket.ts";
import { SocketWriter } from "./socket-writer.ts";

const CONTINUE = "HTTP/1.1 100 Continue\r\n\r\n";
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
  readonly #farewell: Farewell;
  /** Requests whose answer is not complete, in order of arrival. */
  #first: WireExchange | undefined;
  #last: WireExchange | undefined;
  #count = 0;
  /** What arrived and was not used: the beginning of a head, or what has to wait. */
  #rest: Buffer | undefined;
  /** What is being read through at the moment, and how far. */
  #bytes: Buffer | undefined;
  #at = 0;
  /** The same as latin1 once a head was read from it, unless it is long. */
  #text: string | undefined;
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
  readonly #onData = (bytes: Buffer): void => this.#received(bytes);
  readonly #onEnd = (): void => this.#callerEnded();
  /** What arrives is only good until the next read. */
  readonly #shared: boolean;

  constructor(house: House, socket: Socket, ends: Ends) {
    this.#house = house;
    this.#socket = socket;
    this.#ends = ends;
    this.#limits = new CallerLimits(house.wheel, () => this.#expire());
    this.#out = new SocketWriter(socket, () => this.#drained());
    this.#writer = new AnswerWriter(this.#out);
    this.#flow = new SocketFlow(socket);
    this.#farewell = new Farewell(socket, this.#out, this.#decoder, this.#limits, house.bounds);
    // an "error" without a listener would end the process
    socket.on("end", this.#onEnd).on("error", () => socket.destroy());
    socket.once("close", () => this.#closed());
    this.#shared = ends.scheme === "http" && readInto(socket, (length) => this.#received(readView(length)));
    if (!this.#shared) socket.on("data", this.#onData);
    this.#limits.waits(house.bounds.headersTimeoutMs);
    this.#limits.arm();
  }

  /** Nothing is under way on it and nothing has begun to come. */
  get idle(): boolean {
    return this.#count === 0 && this.#rest === undefined && !this.#farewell.begun;
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
    const rest = this.#rest;
    this.#rest = undefined;
    this.#run(rest ? Buffer.concat([rest, bytes]) : bytes);
  }

  /** Reads as far as it goes: heads while there is room for more requests, bodies while somebody takes them. */
  #run(bytes: Buffer): void {
    this.#bytes = bytes;
    this.#at = 0;
    this.#text = undefined;
    try {
      while (this.#at < bytes.length && this.#step(bytes));
    } catch (error) {
      this.#broken(toFault(error));
    }
    this.#bytes = this.#text = undefined;
    if (this.#socket.destroyed) return;
    const left = this.#at < bytes.length && (!this.#final || this.#reading !== undefined) && !this.#detached;
    this.#rest = left ? this.#kept(bytes, this.#at) : undefined;
    this.#sink?.flush();
    this.#flow.hold(left && (this.#reading !== undefined || this.#count >= this.#house.bounds.pipelinedMax));
    this.#limits.arm();
  }

  /** The bytes from there on, to be used later. */
  #kept(bytes: Buffer, from: number): Buffer {
    const rest = from === 0 ? bytes : bytes.subarray(from);
    return bytes.buffer === READ_BUFFER.buffer ? Buffer.from(rest) : rest;
  }

  /** One step of reading; false when it cannot go on now. */
  #step(bytes: Buffer): boolean {
    if (!this.#reading) return !this.#final && this.#count < this.#house.bounds.pipelinedMax && this.#readHead(bytes);
    if (!this.#sink) return false;
    this.#at = this.#decoder.decode(bytes, this.#at, this.#sink, this.#text);
    if (!this.#decoder.done) return false;
    this.#bodyEnded();
    return true;
  }

  #readHead(bytes: Buffer): boolean {
    const { bounds, rules } = this.#house;
    // one empty line may precede a request (RFC 9112, 2.2)
    const start = bytes[this.#at] === CR && bytes[this.#at + 1] === LF ? this.#at + 2 : this.#at;
    // one look at the bytes for all that is done with them: each costs as much as a hundred characters
    if (bytes.length <= TEXT_BYTES_MAX) this.#text ??= bytes.toString("latin1");
    const text = this.#text;
    const end = text === undefined ? bytes.indexOf(END_OF_HEAD, start) : text.indexOf(END_OF_HEAD, start);
    const size = (end === -1 ? bytes.length : end + 4) - start;
    if (size > bounds.headerBytesMax) throw refused("The header fields are too large.");
    if (end === -1) {
      if (size > 0 && TOKEN[bytes[start] ?? 0] !== 1) throw refused("The request is not HTTP/1.1.");
      this.#limits.headBegins(bounds.headersTimeoutMs);
      return false;
    }
    this.#limits.headEnds();
    const head =
      text === undefined
        ? parseRequestHead(bytes.toString("latin1", start, end + 4), rules, this.#ends)
        : parseRequestHead(text, rules, this.#ends, start, end + 4);
    this.#at = end + 4;
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
    const exchange = new WireExchange(head, this, this.#first === undefined);
    if (this.#last) this.#last.next = exchange;
    else this.#first = exchange;
    this.#last = exchange;
    this.#count++;
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
    (exchange ?? this.#enqueue(brokenHead(this.#ends))).refuse(fault);
  }

  #callerEnded(): void {
    if (this.#farewell.begun) this.#farewell.callerEnded();
    else if (this.#reading) this.#broken(cutShort());
    else if (this.#first) this.#socket.destroy();
    else this.#end();
  }

  #closed(): void {
    this.#limits.close();
    this.#house.forget(this);
    const sink = this.#sink;
    this.#sink = this.#reading = undefined;
    sink?.fail(cutShort());
    for (let exchange = this.#first; exchange; exchange = exchange.next) exchange.close(!this.#detached);
    this.#first = this.#last = undefined;
  }

  // --- the body of a request

  takeBody(exchange: WireExchange, sink: RequestSink): void {
    if (this.#reading !== exchange) return sink.end();
    this.#sink = sink;
    if (this.#waits) this.#tellToContinue(exchange);
    if (this.#bytes) return; // the loop that reads goes on with it
    this.#readOn();
  }

  pauseBody(): void {
    if (this.#reading) this.#flow.sate(true);
  }

  resumeBody(): void {
    if (!this.#reading || !this.#flow.sated) return;
    this.#flow.sate(false);
    if (!this.#bytes) this.#readOn();
  }

  /** What waits here is read, then the socket. */
  #readOn(): void {
    const rest = this.#rest;
    this.#rest = undefined;
    if (rest) return this.#run(rest);
    this.#flow.hold(false);
    this.#limits.arm();
  }

  #tellToContinue(exchange: WireExchange): void {
    this.#waits = false;
    this.#owesContinue = exchange !== this.#first;
    if (this.#owesContinue) return;
    this.#out.text(CONTINUE);
    this.#out.send();
  }

  /** Throws away what is here of a body that nobody took; true when that was all of it. */
  #dropBody(): boolean {
    const bytes = this.#bytes ?? this.#rest;
    if (bytes === undefined || this.#waits) return false;
    const at = this.#decoder.decode(bytes, this.#bytes ? this.#at : 0, NOTHING);
    if (this.#bytes) this.#at = at;
    else this.#rest = at < bytes.length ? this.#kept(bytes, at) : undefined;
    if (!this.#decoder.done) return false;
    this.#bodyEnded();
    return true;
  }

  // --- the answer

  begin(status: number, fields: HeaderEdit, length: number | undefined, bodyless: boolean): void {
    const exchange = this.#first;
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
    if (this.#out.flush()) return true;
    this.#limits.stalls(this.#house.bounds.stallTimeoutMs);
    this.#limits.arm();
    return false;
  }

  finish(): void {
    const exchange = this.#first;
    if (!exchange) return;
    this.#writer.end();
    this.flush();
    this.#first = exchange.next;
    if (!this.#first) this.#last = undefined;
    this.#count--;
    exchange.close(false);
    if (this.#first) this.#nextTurn(this.#first);
    else if (this.#final) this.#end();
    else this.#limits.waits(this.#house.bounds.keepAliveTimeoutMs);
    if (!this.#bytes && !this.#farewell.begun) this.#readOn();
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

  #drained(): void {
    if (this.#detached) return;
    this.#limits.flows();
    this.#limits.arm();
    this.#first?.onDrain();
  }

  // --- another protocol

  #upgrade(exchange: WireExchange): void {
    this.#final = true;
    // an answer to an earlier request may still be on its way: two writers on one connection would mix them
    if (this.#count > 1) return void this.#socket.destroy();
    if (exchange.head.method !== "GET" || this.#reading) return exchange.refuse(refused("An upgrade is a GET without a body."));
    exchange.joinable = true;
    const early = Buffer.from(this.#bytes?.subarray(this.#at) ?? "");
    this.#flow.sate(true); // until it is known whom the rest is for
    const upgrade = createUpgrade(exchange, early, this.#socket, () => this.#detach());
    const failed = (error: unknown): void => exchange.refuse(toFault(error));
    try {
      Promise.resolve(this.#house.handler.upgrade(upgrade)).catch(failed);
    } catch (error) {
      failed(error);
    }
  }

  join(fields: HeaderEdit, protocol: string, upstream: UpstreamConnection): void {
    const exchange = this.#first;
    if (!exchange) return upstream.destroy();
    exchange.status = 101;
    this.#out.text(`HTTP/1.1 101 Switching Protocols\r\n${fields.text()}connection: upgrade\r\nupgrade: ${protocol}\r\n\r\n`);
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
    this.#limits.stopReading();
    this.#limits.flows();
    this.#limits.arm();
    this.#socket.off("data", this.#onData).off("end", this.#onEnd);
    if (this.#shared) readAsStream(this.#socket);
    this.#flow.free();
    // as after an upgrade of node:http: the first listener starts the flow
    (this.#socket as { readableFlowing: boolean | null }).readableFlowing = null;
  }

  // --- the end of the connection

  #end(): void {
    this.#rest = undefined;
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
