import { IncomingMessage } from "node:http";
import { Socket } from "node:net";
import { type WebSocket, WebSocketServer } from "ws";
import { Fault } from "../kernel/index.ts";
import type { UpgradeExchange } from "./http.ts";

/** Bounds of one WebSocket connection. */
export interface WebSocketBounds {
  readonly messageBytesMax: number;
  /** Messages that may wait unread; a peer that sends more is cut off. */
  readonly queuedMax: number;
}

/** A WebSocket (RFC 6455) of text messages. */
export interface WebSocketConnection {
  /** Text messages in order. Ends when the peer closes; a binary or oversized message closes the connection. */
  readonly messages: AsyncIterable<string>;
  /** Sends one text message and waits while the peer reads too slowly. */
  send(text: string): Promise<void>;
  /** Closes with a code of RFC 6455, 7.4 and a short public reason. */
  close(code: number, reason: string): void;
}

/** A WebSocket that was opened from here. */
export interface OwnWebSocket extends WebSocketConnection {
  /** The code with which the peer has closed it, once `messages` has ended; 1006 where it has not said one. */
  readonly closeCode: number;
}

const CLOSE_POLICY = 1008;
const CLOSE_UNSUPPORTED = 1003;
const CLOSE_ABNORMAL = 1006;
const servers = new Map<number, WebSocketServer>();

/**
 * Completes the upgrade; who is calling has been checked before. Throws `malformed_request` for an upgrade to something else, and
 * `upstream_unreachable` when the caller goes away or its handshake is wrong, which it has then been told by a 400.
 */
export async function acceptWebSocket(exchange: UpgradeExchange, bounds: WebSocketBounds): Promise<WebSocketConnection> {
  if (exchange.head.headers.one("upgrade")?.toLowerCase() !== "websocket") {
    throw new Fault("malformed_request", "an upgrade to another protocol", {
      public: { detail: "Only an upgrade to websocket is known here." },
    });
  }
  const socket = await new Promise<WebSocket>((resolve, reject) => {
    const gone = (): void => reject(new Fault("upstream_unreachable", "the handshake was not completed"));
    exchange.socket.once("close", gone);
    serverFor(bounds.messageBytesMax).handleUpgrade(toIncomingMessage(exchange), exchange.socket, exchange.early, (made) => {
      exchange.socket.off("close", gone);
      resolve(made);
    });
  });
  return new TextConnection(socket, bounds.queuedMax);
}

function serverFor(maxPayload: number): WebSocketServer {
  const known = servers.get(maxPayload);
  if (known) return known;
  // compression is off: a few bytes could unpack to a bomb, and lengths would tell of secrets
  const made = new WebSocketServer({ noServer: true, maxPayload, perMessageDeflate: false, clientTracking: false });
  servers.set(maxPayload, made);
  return made;
}

/** The request in the one form that the library reads: method and header fields. */
function toIncomingMessage({ head }: UpgradeExchange): IncomingMessage {
  const message = new IncomingMessage(new Socket());
  message.method = head.method;
  message.url = head.target.raw;
  for (const [name, value] of head.headers.fields) message.headers[name.toLowerCase()] = value;
  return message;
}

/** A connection over a socket of the library, from either side. */
export class TextConnection implements OwnWebSocket {
  readonly #socket: WebSocket;
  readonly #queue: string[] = [];
  #wake: (() => void) | undefined;
  #ended = false;
  closeCode = CLOSE_ABNORMAL;

  constructor(socket: WebSocket, queuedMax: number) {
    this.#socket = socket;
    socket.on("message", (data, isBinary) => {
      if (isBinary) return socket.close(CLOSE_UNSUPPORTED, "Send text messages.");
      if (this.#queue.length >= queuedMax) return socket.close(CLOSE_POLICY, "Too many messages are waiting.");
      this.#queue.push(Buffer.isBuffer(data) ? data.toString("utf8") : "");
      this.#wake?.();
    });
    socket.on("close", (code) => {
      this.closeCode = code;
      this.#end();
    });
    socket.on("error", () => undefined); // the library closes the connection itself
  }

  get messages(): AsyncIterable<string> {
    return this.#read();
  }

  async send(text: string): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#socket.send(text, (error) => (error ? reject(error) : resolve()));
    });
  }

  close(code: number, reason: string): void {
    this.#socket.close(code, reason);
  }

  async *#read(): AsyncGenerator<string, void> {
    for (;;) {
      const next = this.#queue.shift();
      if (next !== undefined) yield next;
      else if (this.#ended) return;
      else {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
    }
  }

  #end(): void {
    this.#ended = true;
    this.#wake?.();
  }
}
