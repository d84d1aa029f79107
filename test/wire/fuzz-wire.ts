import type { Socket } from "node:net";
import { Duplex } from "node:stream";
import { CallerConnection } from "../../src/wire/http1/caller-connection.ts";
import { READ_BUFFER } from "../../src/wire/http1/raw-socket.ts";
import { toRules } from "../../src/wire/http1/request-parser.ts";
import { TimerWheel } from "../../src/wire/timer-wheel.ts";
import type { Answer, Exchange, HttpBounds, HttpHandler } from "../../src/wire/index.ts";

const METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"];
const DONE: Answer = { status: 200, headers: {}, body: undefined };
const BOUNDS: HttpBounds = {
  headerBytesMax: 16 * 1024,
  fieldsMax: 100,
  headersTimeoutMs: 60_000,
  requestTimeoutMs: 60_000,
  keepAliveTimeoutMs: 60_000,
  stallTimeoutMs: 60_000,
  connectionsMax: 1_000,
  pipelinedMax: 100,
  lingerBytesMax: 1_000,
  lingerMs: 60_000,
};
const RULES = toRules(BOUNDS.fieldsMax, new Set(METHODS), "lenient", []);

/** The limits of all connections of a fuzz test; to be closed at its end. */
export const wheel: TimerWheel = new TimerWheel(1_000);

/** One message as a reader understood it. */
export interface Message {
  readonly first: string;
  readonly fields: readonly (readonly [string, string])[];
  readonly body: string;
  /** Of answers. */
  readonly trailers?: readonly (readonly [string, string])[];
}

/** A connection without a network below: it gives what it is fed and drops what is sent. */
export class Wire extends Duplex {
  constructor() {
    super({ allowHalfOpen: true });
    this.on("error", () => undefined);
  }

  override _read(): void {
    // fed from outside
  }

  override _write(_bytes: unknown, _encoding: unknown, done: () => void): void {
    done();
  }

  feed(bytes: Buffer): void {
    this.push(bytes);
  }

  setTimeout(): this {
    return this;
  }

  destroySoon(): void {
    this.destroy();
  }

  resetAndDestroy(): void {
    this.destroy();
  }
}

/** The same where reads come past the stream: each overwrites the one before, as it does below a real socket. */
export class RawWire extends Wire {
  readonly _handle = { useUserBuffer: (): void => undefined };
  readonly #waiting: Buffer[] = [];
  #stopped = false;

  override feed(bytes: Buffer): void {
    this.#waiting.push(bytes);
    this.#give();
  }

  override pause(): this {
    this.#stopped = true;
    return super.pause();
  }

  override resume(): this {
    this.#stopped = false;
    setImmediate(() => this.#give());
    return super.resume();
  }

  #give(): void {
    while (!this.#stopped && !this.destroyed) {
      const bytes = this.#waiting.shift();
      if (!bytes) return;
      READ_BUFFER.fill(0x7e, 0, Math.max(bytes.length, 256)); // nobody may still be looking at the last read
      READ_BUFFER.set(bytes);
      this.#callback(bytes.length);
    }
  }

  #callback(length: number): void {
    const slot = Object.getOwnPropertySymbols(this).find(({ description }) => description === "kBufferCb");
    const callback = slot && (this as unknown as Record<symbol, (length: number) => void>)[slot];
    callback?.(length);
  }
}

/** What our own connection makes of some bytes. */
export interface Reading {
  readonly wire: Wire;
  /** Requests that have begun; undefined until their body is complete. */
  readonly messages: (Message | undefined)[];
  /** Times that it had to refuse. */
  refused: number;
}

/** Feeds our own connection in these pieces. */
export function readByUs(pieces: readonly Buffer[], wire: Wire): Reading {
  const reading: Reading = { wire, messages: [], refused: 0 };
  const { messages } = reading;
  const take = async (exchange: Exchange): Promise<Answer> => {
    const at = messages.push(undefined) - 1;
    const { method, target, headers } = exchange.head;
    const body = exchange.hasBody ? Buffer.from(await exchange.readBody(100_000)).toString("latin1") : "";
    messages[at] = { first: `${method} ${target.raw}`, fields: headers.fields, body };
    return DONE;
  };
  const handler: HttpHandler = {
    handle: take,
    upgrade({ head, refuse }) {
      messages.push({ first: `${head.method} ${head.target.raw}`, fields: head.headers.fields, body: "" });
      refuse(DONE);
    },
    refuse: () => {
      reading.refused++;
      return { status: 400, headers: {}, body: "" };
    },
  };
  // what the connection uses of a socket is here
  void new CallerConnection(
    { handler, bounds: BOUNDS, rules: RULES, wheel, closing: false, forget: () => undefined },
    wire as unknown as Socket,
    { remoteAddress: "", remotePort: 0, localAddress: "", localPort: 0, scheme: "http" },
  );
  for (const piece of pieces) wire.feed(piece);
  return reading;
}
