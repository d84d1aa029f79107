import { connect, isIP, type Socket } from "node:net";
import { connect as connectTls, type SecureContext } from "node:tls";
import type { ForwardFailure, Origin } from "../http.ts";
import type { Timed, TimerWheel } from "../timer-wheel.ts";
import { BodyDecoder, type BodySink } from "./body-decoder.ts";
import { END_OF_HEAD } from "./characters.ts";
import { TEXT_BYTES_MAX } from "../request-pass.ts";
import { parseResponseHead, RESPONSE_HEAD_BYTES_MAX, type UpstreamHead } from "./response-parser.ts";
import { isQuiet, READ_BUFFER, readView } from "./raw-socket.ts";
import { SocketWriter } from "./socket-writer.ts";

/** Whoever uses a connection to an upstream for one exchange. */
export interface UpstreamUser extends BodySink {
  /** The connection is there and nothing was sent on it. */
  onReady(connection: UpstreamConnection): void;
  /** An answer that precedes the final one, other than 100 and 101. */
  onInterim(head: UpstreamHead): void;
  onHead(head: UpstreamHead): void;
  /** Field lines that followed the body, latin1, each with its end. */
  onTrailers(lines: string): void;
  /** The answer is complete. The connection is no longer the user's. */
  onBodyEnd(): void;
  /** All that came at once was given. */
  onRead(): void;
  /** The upstream takes bytes again. */
  onWritable(): void;
  /** The idle connection that was lent was no good and is gone. Nothing was sent on it: another one serves as well. */
  onSpoilt(): void;
  /** No complete answer will come. The connection is gone. */
  onFail(kind: ForwardFailure["kind"], reason: string): void;
}

/** The place a connection goes back to. */
export interface ConnectionKeeper {
  readonly wheel: TimerWheel;
  /** Whether all that waited to be read on its idle connections has been read just now. */
  readonly isProved: boolean;
  /** The exchange was clean: it may serve another one. */
  keep(connection: UpstreamConnection): void;
  /** It is gone. */
  drop(connection: UpstreamConnection): void;
}

/** Interim answers before the final one, and all their bytes. */
const INTERIM_MAX = 8;
const INTERIM_BYTES_MAX = RESPONSE_HEAD_BYTES_MAX;
/** Whether a caller may send its body was decided here, not by the upstream: Expect is for one connection. */
const CONTINUE_STATUS = 100;
/** What is written is kept for this long before the kernel asks whether the other side is still there. */
const PROBE_AFTER_MS = 30_000;

/** One connection to an upstream, which serves exchanges one after the other. */
export class UpstreamConnection implements Timed {
  deadline = Infinity;
  turn = 0;
  requests = 0;
  readonly #socket: Socket;
  readonly #keeper: ConnectionKeeper;
  readonly #decoder = new BodyDecoder();
  #user: UpstreamUser | undefined;
  #method = "";
  /** The beginning of a head whose end has not come. */
  #rest: Buffer | undefined;
  readonly #out: SocketWriter;
  #connected = false;
  #gone = false;
  #inBody = false;
  #interim = 0;
  #interimBytes = 0;
  #requestDone = false;
  /** The answer's head came when the request was complete, and the connection may live on. */
  #reusable = false;
  #paused = false;
  #joined: ((bytes: Buffer) => void) | undefined;
  #error: string | undefined;
  #readMs = 0;
  #sendMs = 0;
  /** Asked right before the first byte of a request goes out on a connection that was idle: what lies there unread is not its answer. */
  readonly #mayBegin = (): boolean => {
    if (this.#gone || this.#keeper.isProved || isQuiet(this.#socket)) return true;
    this.reject("an answer before its request");
    return false;
  };

  constructor(keeper: ConnectionKeeper, origin: Origin, context: SecureContext | undefined, user: UpstreamUser, connectMs: number) {
    this.#keeper = keeper;
    this.#user = user;
    this.#socket = open(origin, context, (bytes) => this.#received(bytes));
    this.#socket
      .on(origin.tls ? "secureConnect" : "connect", () => this.#ready())
      .on("end", () => this.#ended())
      .on("error", (error: NodeJS.ErrnoException) => {
        this.#error = error.code ?? error.message;
      })
      .on("close", () => this.#lost(this.#connected ? "closed" : "connect", this.#error ?? "the connection ended"));
    this.#out = new SocketWriter(
      this.#socket,
      () => this.#blocked(),
      () => this.#drained(),
    );
    keeper.wheel.set(this, connectMs);
  }

  get socket(): Socket {
    return this.#socket;
  }

  get reused(): boolean {
    return this.requests > 1;
  }

  /** Takes it out of the pool for another exchange. */
  lend(user: UpstreamUser): void {
    this.#user = user;
    this.requests++;
    user.onReady(this);
  }

  /** Another user takes what is still to come. */
  handTo(user: UpstreamUser): void {
    this.#user = user;
  }

  /** Begins a request: its head up to the empty line. */
  begin(method: string, head: string, timeouts: { readonly sendMs: number; readonly readMs: number }): void {
    this.#method = method;
    this.#sendMs = timeouts.sendMs;
    this.#readMs = timeouts.readMs;
    this.#inBody = this.#requestDone = this.#reusable = false;
    this.#interim = this.#interimBytes = 0;
    this.#out.begin(head, this.reused ? this.#mayBegin : undefined);
    this.#keeper.wheel.clear(this);
  }

  /** Bytes as latin1, sent with the next flush. */
  writeText(latin1: string): void {
    this.#out.text(latin1);
  }

  /** Bytes, which must not change afterwards. */
  write(bytes: Uint8Array): void {
    this.#out.bytes(bytes);
  }

  /** The request is complete with what was written. */
  complete(): void {
    this.#requestDone = true;
  }

  /** Sends what is there. False when the upstream takes no more for now. */
  flush(): boolean {
    const takesMore = this.#out.flush();
    if (this.#gone) return true;
    if (takesMore && this.#requestDone && !this.#paused) this.#keeper.wheel.set(this, this.#readMs);
    return takesMore;
  }

  pause(): void {
    if (this.#paused || this.#gone) return;
    this.#paused = true;
    this.#socket.pause();
    this.#keeper.wheel.clear(this);
  }

  resume(): void {
    if (!this.#paused || this.#gone) return;
    this.#paused = false;
    this.#socket.resume();
    this.#keeper.wheel.set(this, this.#readMs);
  }

  /** Ends it now; the user hears nothing more. */
  destroy(): void {
    this.#user = undefined;
    this.#release();
    this.#socket.destroy();
  }

  /** Its answer cannot be used. */
  reject(reason: string): void {
    this.#lost("invalid", reason);
    this.#socket.destroy();
  }

  /** From now on everything received goes there, until one side ends. */
  join(receive: (bytes: Buffer) => void): void {
    this.#joined = receive;
    this.#out.send();
    this.#keeper.wheel.clear(this);
    const rest = this.#rest;
    this.#rest = undefined;
    if (rest) receive(rest);
  }

  expire(): void {
    const kind = !this.#connected ? "connect_timeout" : this.#out.blocked ? "send_timeout" : "read_timeout";
    this.#lost(kind, "out of time");
    this.#socket.destroy();
  }

  #ready(): void {
    this.#connected = true;
    this.requests++;
    this.#keeper.wheel.clear(this);
    this.#user?.onReady(this);
  }

  #blocked(): void {
    if (!this.#gone) this.#keeper.wheel.set(this, this.#sendMs);
  }

  #drained(): void {
    if (this.#gone) return;
    this.#keeper.wheel.clear(this);
    if (this.#requestDone && !this.#joined) this.#keeper.wheel.set(this, this.#readMs);
    this.#user?.onWritable();
  }

  #received(bytes: Buffer): void {
    if (this.#gone) return;
    if (this.#joined) return this.#joined(bytes);
    // nobody asked: whatever this is, it must not become the answer to the next request
    if (!this.#user) return this.destroy();
    if (!this.#out.sent) return this.reject("an answer before its request");
    if (this.#requestDone) this.#keeper.wheel.set(this, this.#readMs);
    try {
      this.#take(bytes);
    } catch (error) {
      this.reject(error instanceof Error ? error.message : String(error));
    }
  }

  #take(bytes: Buffer): void {
    if (this.#inBody) return this.#readBody(bytes, 0, undefined);
    const whole = this.#rest ? Buffer.concat([this.#rest, bytes]) : bytes;
    // one look at the bytes for all that is done with them: each costs as much as a hundred characters
    const text = whole.length <= TEXT_BYTES_MAX ? whole.toString("latin1") : undefined;
    const at = this.#readHead(whole, text);
    if (at === -1 || !this.#user || this.#joined) return;
    this.#readBody(whole, at, text);
  }

  /** Where the body begins; -1 when the head is not complete. */
  #readHead(bytes: Buffer, text: string | undefined): number {
    let start = 0;
    for (;;) {
      const end = text === undefined ? bytes.indexOf(END_OF_HEAD, start) : text.indexOf(END_OF_HEAD, start);
      if (end === -1 || end - start > RESPONSE_HEAD_BYTES_MAX) {
        if (bytes.length - start > RESPONSE_HEAD_BYTES_MAX) throw new Error("the head is too large");
        this.#rest = bytes.length > start ? Buffer.from(bytes.subarray(start)) : undefined;
        return -1;
      }
      const head =
        text === undefined
          ? parseResponseHead(bytes.toString("latin1", start, end + 4), this.#method)
          : parseResponseHead(text, this.#method, start, end + 4);
      const from = start;
      start = end + 4;
      if (head.status >= 200 || head.status === 101) return this.#begun(head, bytes, start);
      this.#interimBytes += start - from;
      if (++this.#interim > INTERIM_MAX || this.#interimBytes > INTERIM_BYTES_MAX) throw new Error("too many interim answers");
      if (head.status !== CONTINUE_STATUS) this.#user?.onInterim(head);
    }
  }

  #begun(head: UpstreamHead, bytes: Buffer, start: number): number {
    this.#inBody = true;
    this.#reusable = head.keepAlive && this.#requestDone && head.status !== 101;
    this.#decoder.begin(head.framing);
    if (head.status === 101) this.#rest = Buffer.from(bytes.subarray(start));
    this.#user?.onHead(head);
    return start;
  }

  #readBody(bytes: Buffer, start: number, text: string | undefined): void {
    this.#rest = undefined;
    const user = this.#user;
    if (!user) return;
    const end = this.#decoder.decode(bytes, start, user, text);
    if (this.#user !== user) return;
    if (!this.#decoder.done) return user.onRead();
    if (this.#decoder.trailers !== "") user.onTrailers(this.#decoder.trailers);
    // more than one answer: the connection is out of step
    this.#finish(user, this.#reusable && end === bytes.length);
  }

  #finish(user: UpstreamUser, clean: boolean): void {
    this.#user = undefined;
    if (clean && !this.#paused && !this.#out.blocked) this.#keeper.keep(this);
    else this.destroy();
    user.onBodyEnd();
  }

  #ended(): void {
    const user = this.#user;
    if (this.#joined) return;
    if (user && this.#inBody && this.#decoder.untilClose) return this.#finish(user, false);
    this.#lost("closed", "the upstream ended the connection");
    this.#socket.destroy();
  }

  #lost(kind: ForwardFailure["kind"], reason: string): void {
    const user = this.#user;
    this.#user = undefined;
    this.#release();
    if (this.reused && !this.#out.sent) user?.onSpoilt();
    else user?.onFail(kind, reason);
  }

  #release(): void {
    if (this.#gone) return;
    this.#gone = true;
    this.#keeper.wheel.remove(this);
    this.#keeper.drop(this);
  }
}

function open(origin: Origin, context: SecureContext | undefined, receive: (bytes: Buffer) => void): Socket {
  const { host, port, tls } = origin;
  const common = { host, port, noDelay: true, keepAlive: true, keepAliveInitialDelay: PROBE_AFTER_MS, allowHalfOpen: true };
  if (!tls) {
    const onread = {
      buffer: READ_BUFFER,
      callback: (bytesRead: number) => {
        receive(readView(bytesRead));
        return true;
      },
    };
    return connect({ ...common, onread });
  }
  const servername = tls.serverName ?? (isIP(host) === 0 ? host : undefined);
  return connectTls({
    ...common,
    rejectUnauthorized: tls.verify,
    ALPNProtocols: ["http/1.1"],
    ...(context && { secureContext: context }),
    ...(servername !== undefined && { servername }),
  }).on("data", receive);
}
