import type { RequestSink } from "./caller-port.ts";
import type { WireExchange } from "./exchange.ts";
import type { UpstreamConnection } from "./http1/upstream-connection.ts";

/** Pieces up to this are sent as text together with what stands before them: one write costs more than the copy. */
export const TEXT_BYTES_MAX = 8 * 1024;
/** How much of a caller's body is kept for another try. */
const REPLAY_BYTES_MAX = 64 * 1024;

/** The caller's body on its way to one upstream after the other. It is not asked for before there is a connection to send it on. */
export class RequestPass implements RequestSink {
  readonly #exchange: WireExchange;
  readonly #chunked: boolean;
  #connection: UpstreamConnection | undefined;
  /** What came so far; undefined when it is too long to be sent again. */
  #kept: string | undefined = "";
  #begun = false;
  #ended = false;

  constructor(exchange: WireExchange) {
    this.#exchange = exchange;
    this.#chunked = exchange.head.framing.kind === "chunked";
  }

  /** Whether all of it can be sent to another upstream. */
  get repeatable(): boolean {
    return this.#kept !== undefined;
  }

  /** Sends it there, from its beginning. */
  sendTo(connection: UpstreamConnection): void {
    this.#connection = connection;
    if (!this.#begun) {
      this.#begun = true;
      return this.#exchange.port.takeBody(this.#exchange, this);
    }
    if (this.#kept) this.#text(connection, this.#kept);
    if (this.#ended) return this.#complete(connection);
    connection.flush();
    this.#exchange.port.resumeBody();
  }

  /** The connection is gone: the caller has to wait for another one, or for its answer. */
  stop(): void {
    if (!this.#connection) return;
    this.#connection = undefined;
    if (!this.#ended) this.#exchange.port.pauseBody();
  }

  piece(bytes: Buffer, start: number, end: number, whole?: string): void {
    const connection = this.#connection;
    this.#exchange.bytesIn += end - start;
    if (end - start > TEXT_BYTES_MAX) {
      this.#kept = undefined;
      if (connection) this.#bytes(connection, Buffer.from(bytes.subarray(start, end))); // they are only good during the call
      return;
    }
    const text = whole?.slice(start, end) ?? bytes.toString("latin1", start, end);
    if (this.#kept !== undefined) this.#kept = this.#kept.length + text.length <= REPLAY_BYTES_MAX ? this.#kept + text : undefined;
    if (connection) this.#text(connection, text);
  }

  flush(): void {
    if (this.#connection && !this.#connection.flush()) this.#exchange.port.pauseBody();
  }

  end(): void {
    this.#ended = true;
    if (this.#connection) this.#complete(this.#connection);
  }

  fail(): void {
    // the wire refuses the request, which ends the forwarding as well
  }

  #complete(connection: UpstreamConnection): void {
    if (this.#chunked) connection.writeText("0\r\n\r\n");
    connection.complete();
    connection.flush();
  }

  #text(connection: UpstreamConnection, text: string): void {
    connection.writeText(this.#chunked ? `${text.length.toString(16)}\r\n${text}\r\n` : text);
  }

  #bytes(connection: UpstreamConnection, bytes: Buffer): void {
    if (this.#chunked) connection.writeText(`${bytes.length.toString(16)}\r\n`);
    connection.write(bytes);
    if (this.#chunked) connection.writeText("\r\n");
  }
}
