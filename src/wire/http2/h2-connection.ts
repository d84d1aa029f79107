import { constants, performServerHandshake, type ServerHttp2Session, type ServerHttp2Stream } from "node:http2";
import type { Socket } from "node:net";
import type { House, HouseConnection } from "../house.ts";
import type { Ends } from "../http1/request-parser.ts";
import type { Timed } from "../timer-wheel.ts";
import { H2Stream } from "./h2-stream.ts";

/** Requests of one session at once. */
const STREAMS_MAX = 100;
/** Streams that the caller itself may take back within {@link WINDOW_MS}, beyond half of those it lets end (CVE-2023-44487). */
const RESETS_MAX = 100;
/** Settings and pings of the caller within {@link WINDOW_MS}. */
const CONTROL_FRAMES_MAX = 100;
const WINDOW_MS = 10_000;
/** Memory of one session for header tables, frames and answers that wait, in megabytes. */
const SESSION_MEMORY_MB = 4;
/** Frames that may be wrong before the session ends. */
const INVALID_FRAMES_MAX = 10;

/** One caller that speaks HTTP/2 (RFC 9113). Whoever asks for much and takes nothing is sent away with GOAWAY. */
export function createH2Connection(house: House, socket: Socket, transport: Socket, ends: Ends): HouseConnection {
  return new H2Connection(house, socket, transport, ends);
}

class H2Connection implements HouseConnection, Timed {
  deadline = Infinity;
  turn = 0;
  readonly #house: House;
  readonly #ends: Ends;
  readonly #socket: Socket;
  /** The TCP connection below: a session that is destroyed closes its TLS socket, but not always this one. */
  readonly #transport: Socket;
  readonly #session: ServerHttp2Session;
  #streams = 0;
  #resets = 0;
  #ended = 0;
  #control = 0;
  #leaving = false;
  #windowBy = Infinity;
  #idleBy = Infinity;

  constructor(house: House, socket: Socket, transport: Socket, ends: Ends) {
    this.#house = house;
    this.#ends = ends;
    this.#socket = socket;
    this.#transport = transport;
    socket.allowHalfOpen = false; // a session whose caller has ended its direction is over
    this.#session = performServerHandshake(socket, {
      maxSessionMemory: SESSION_MEMORY_MB,
      maxHeaderListPairs: house.bounds.fieldsMax + 5, // the pseudo fields
      maxSessionInvalidFrames: INVALID_FRAMES_MAX,
      settings: {
        maxConcurrentStreams: STREAMS_MAX,
        maxHeaderListSize: house.bounds.headerBytesMax,
        enablePush: false,
        enableConnectProtocol: false,
      },
    });
    this.#session
      .on("stream", (stream, _headers, _flags, raw) => this.#stream(stream, raw))
      .on("ping", () => this.#countControl())
      .on("remoteSettings", () => this.#countControl())
      .on("error", () => this.destroy())
      .on("frameError", () => this.destroy());
    socket
      .on("error", () => socket.destroy())
      .once("close", () => {
        house.wheel.remove(this);
        house.forget(this);
      });
    this.#idleBy = house.wheel.after(house.bounds.headersTimeoutMs);
    this.#arm();
  }

  get idle(): boolean {
    return this.#streams === 0;
  }

  leave(): void {
    this.#leaving = true;
    if (!this.#session.destroyed) this.#session.close();
  }

  destroy(): void {
    this.#session.destroy();
    this.#socket.destroy();
    this.#transport.destroy();
  }

  expire(): void {
    const { wheel } = this.#house;
    if (wheel.isOver(this.#windowBy)) {
      this.#windowBy = Infinity;
      this.#resets = this.#ended = this.#control = 0;
    }
    if (wheel.isOver(this.#idleBy) && this.#streams === 0) {
      this.#idleBy = Infinity;
      this.leave();
    }
    this.#arm();
  }

  #stream(stream: ServerHttp2Stream, raw: readonly string[]): void {
    // an "error" without a listener would end the process
    stream.on("error", () => undefined);
    if (this.#leaving) return stream.close(constants.NGHTTP2_REFUSED_STREAM);
    this.#streams++;
    this.#idleBy = Infinity;
    const made = new H2Stream(this.#house, stream, this.#ends);
    made.open(raw);
    stream.once("close", () => this.#closed(made.takenBack));
  }

  #closed(takenBack: boolean): void {
    const { bounds, wheel } = this.#house;
    this.#streams--;
    if (this.#streams === 0) this.#idleBy = wheel.after(bounds.keepAliveTimeoutMs);
    this.#ended++;
    if (takenBack) this.#resets++;
    this.#openWindow();
    if (this.#resets > RESETS_MAX && this.#resets * 2 > this.#ended) this.#sendAway();
    if (this.#house.closing && this.#streams === 0) this.leave();
  }

  #countControl(): void {
    this.#control++;
    this.#openWindow();
    if (this.#control > CONTROL_FRAMES_MAX) this.#sendAway();
  }

  #openWindow(): void {
    if (this.#windowBy === Infinity) this.#windowBy = this.#house.wheel.after(WINDOW_MS);
    this.#arm();
  }

  #sendAway(): void {
    if (this.#session.destroyed || this.#leaving) return;
    this.#leaving = true;
    this.#session.goaway(constants.NGHTTP2_ENHANCE_YOUR_CALM);
    // in a later turn, so that the caller can still learn why
    setImmediate(() => this.destroy());
  }

  #arm(): void {
    this.#house.wheel.setDeadline(this, Math.min(this.#windowBy, this.#idleBy));
  }
}
