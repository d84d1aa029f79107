import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { isIPv6, type Socket } from "node:net";
import type { Duplex } from "node:stream";
import { Fault, toFault } from "../kernel/index.ts";
import { checkAnswer, discard, sendAnswer, toBytesOnWire } from "./answer.ts";
import { readBody } from "./body.ts";
import type { Answer, Exchange, HttpHandler, HttpServer, RequestHead } from "./http.ts";
import { hasBody, methodNotAllowed, parseHead } from "./request-head.ts";

/** What one caller may take of the process before anything is known about it. */
export interface HttpBounds {
  /** The request line and all header fields together, in bytes. */
  readonly headerBytesMax: number;
  readonly fieldsMax: number;
  /** From the first byte of a request to the end of its header fields. */
  readonly headersTimeoutMs: number;
  /** From the first byte of a request to the end of its body. */
  readonly requestTimeoutMs: number;
  /** How long a connection may wait for its next request. Longer than the 60 s of common load balancers, so that they close first. */
  readonly keepAliveTimeoutMs: number;
  /** How long a caller may take nothing of an answer that waits for it. */
  readonly stallTimeoutMs: number;
  readonly connectionsMax: number;
  /** Requests under way at once on one connection. */
  readonly pipelinedMax: number;
  /** What is still read of a refused body, so that the refusal arrives. */
  readonly lingerBytesMax: number;
  readonly lingerMs: number;
}

/** The bounds when nothing else is said. */
const HTTP_BOUNDS: HttpBounds = {
  headerBytesMax: 16 * 1024,
  fieldsMax: 100,
  headersTimeoutMs: 10_000,
  requestTimeoutMs: 60_000,
  keepAliveTimeoutMs: 65_000,
  stallTimeoutMs: 30_000,
  connectionsMax: 10_000,
  pipelinedMax: 8,
  lingerBytesMax: 256 * 1024,
  lingerMs: 1_000,
};

/** How often Node looks for requests that are over their time. */
const CHECK_INTERVAL_MS = 5_000;

/** Where to listen and who answers. */
export interface HttpServerOptions {
  /** The address to listen on. */
  readonly host: string;
  /** 0 takes a free port, which `url` then tells. */
  readonly port: number;
  readonly handler: HttpHandler;
  readonly bounds?: Partial<HttpBounds>;
}

/**
 * Listens for HTTP/1.1. The handler sees only requests that every reader understands the same way; all others are answered through
 * `handler.refuse` and their connection closed. Throws `dependency_unavailable` when the port cannot be had.
 */
export async function createHttpServer(options: HttpServerOptions): Promise<HttpServer> {
  const listener = new Listener(options.handler, { ...HTTP_BOUNDS, ...options.bounds });
  const url = await listener.listen(options.host, options.port);
  return { url, close: (graceMs) => listener.close(graceMs) };
}

/** One request that is being answered. */
interface Pending {
  readonly message: IncomingMessage;
  readonly response: ServerResponse;
  readonly abort: AbortController;
  /** The caller holds its body back until it is told to go on. */
  waits: boolean;
}

interface Connection {
  readonly socket: Socket;
  readonly pending: Set<Pending>;
  /** No request may be taken from it any more. */
  last: boolean;
  upgraded: boolean;
}

class Listener {
  readonly #handler: HttpHandler;
  readonly #bounds: HttpBounds;
  readonly #server: Server;
  readonly #connections = new Map<Duplex, Connection>();
  #closed: Promise<void> | undefined;

  constructor(handler: HttpHandler, bounds: HttpBounds) {
    this.#handler = handler;
    this.#bounds = bounds;
    this.#server = createServer({
      insecureHTTPParser: false,
      maxHeaderSize: bounds.headerBytesMax,
      headersTimeout: bounds.headersTimeoutMs,
      requestTimeout: bounds.requestTimeoutMs,
      keepAliveTimeout: bounds.keepAliveTimeoutMs,
      connectionsCheckingInterval: Math.min(CHECK_INTERVAL_MS, bounds.headersTimeoutMs, bounds.requestTimeoutMs),
      requireHostHeader: false, // parseHead does, with an answer in our form
    });
    // some releases of Node drop the fields over their own limit in silence, and a second Authorization could hide there: parseHead counts
    this.#server.maxHeadersCount = 0;
    this.#server.maxConnections = bounds.connectionsMax;
    this.#subscribe();
  }

  #subscribe(): void {
    const take = (message: IncomingMessage, response: ServerResponse, waits: boolean): void => {
      this.#request(message, response, waits).catch(() => message.socket.destroy());
    };
    this.#server
      .on("connection", (socket) => this.#connection(socket))
      .on("request", (message, response) => take(message, response, false))
      .on("checkContinue", (message, response) => take(message, response, true))
      .on("checkExpectation", (message, response) => take(message, response, false))
      .on("upgrade", (message, socket, early) => {
        this.#upgrade(message, socket, early).catch(() => socket.destroy());
      })
      .on("connect", (_message, socket) => this.#refuse(socket, methodNotAllowed("CONNECT")))
      .on("clientError", (error, socket) => this.#clientError(error, socket));
  }

  async listen(host: string, port: number): Promise<string> {
    const server = this.#server;
    await new Promise<void>((resolve, reject) => {
      // it stays: later on a connection that cannot be taken (no file descriptors left) reports here, which must not end the process
      server.on("error", (error) => reject(toListenFault(error, host, port)));
      server.listen({ host, port }, resolve);
    });
    const address = server.address();
    const bound = typeof address === "object" && address !== null ? address.port : port;
    return `http://${isIPv6(host) ? `[${host}]` : host}:${bound}`;
  }

  close(graceMs: number): Promise<void> {
    this.#closed ??= this.#shutDown(graceMs);
    return this.#closed;
  }

  async #shutDown(graceMs: number): Promise<void> {
    const ended = new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
    });
    for (const { socket, pending, upgraded } of this.#connections.values()) if (pending.size === 0 && !upgraded) socket.destroy();
    const timer = setTimeout(() => {
      for (const { socket } of this.#connections.values()) socket.destroy();
    }, graceMs).unref();
    await ended;
    clearTimeout(timer);
  }

  #connection(socket: Socket): void {
    const connection: Connection = { socket, pending: new Set(), last: false, upgraded: false };
    this.#connections.set(socket, connection);
    // an "error" without a listener would end the process; after an upgrade Node's own listener is gone
    socket.on("error", () => socket.destroy());
    socket.once("close", () => {
      this.#connections.delete(socket);
      for (const { abort } of connection.pending) abort.abort(new Error("the caller went away"));
    });
    if (this.#closed) socket.destroy();
  }

  async #request(message: IncomingMessage, response: ServerResponse, waits: boolean): Promise<void> {
    const connection = this.#connections.get(message.socket);
    // behind a refused request nothing is a request: it may be the body of the one before
    if (!connection || connection.last) return;
    if (connection.pending.size >= this.#bounds.pipelinedMax) {
      connection.socket.destroy();
      return;
    }
    const pending: Pending = { message, response, abort: new AbortController(), waits };
    connection.pending.add(pending);
    response.once("close", () => this.#done(connection, pending));
    const answer = this.#checked(await this.#answer(connection, pending));
    await this.#send(answer, connection, pending);
  }

  #done(connection: Connection, pending: Pending): void {
    connection.pending.delete(pending);
    if (!pending.response.writableFinished) pending.abort.abort(new Error("the caller went away"));
    if (this.#closed && connection.pending.size === 0) connection.socket.destroySoon();
    // the time limit for taking this answer is none for making the next one
    if (connection.pending.size > 0) connection.socket.setTimeout(0);
  }

  async #answer(connection: Connection, pending: Pending): Promise<Answer> {
    let head: RequestHead;
    try {
      head = parseHead(pending.message, this.#bounds.fieldsMax);
      if ((head.headers.one("expect") !== undefined) !== pending.waits) throw new Fault("malformed_request", "an expectation not known");
    } catch (error) {
      connection.last = true;
      return this.#handler.refuse(toFault(error));
    }
    try {
      return await this.#handler.handle(createExchange(head, pending));
    } catch (error) {
      return this.#handler.refuse(toFault(error));
    }
  }

  /** The answer when it can be sent, otherwise the refusal that says so. */
  #checked(answer: Answer): Answer {
    try {
      checkAnswer(answer);
      return answer;
    } catch (error) {
      discard(answer).catch(() => undefined); // its source failed while being stopped: the refusal is already on its way
      const refusal = this.#handler.refuse(toFault(error));
      checkAnswer(refusal);
      return refusal;
    }
  }

  async #send(answer: Answer, connection: Connection, pending: Pending): Promise<void> {
    const { message, response, abort } = pending;
    const unread = !message.complete && announcesBody(message);
    if (unread || this.#closed) connection.last = true;
    await sendAnswer(answer, {
      message,
      response,
      signal: abort.signal,
      last: connection.last,
      linger: unread && !pending.waits,
      ...this.#bounds,
    });
  }

  async #upgrade(message: IncomingMessage, socket: Duplex, early: Buffer): Promise<void> {
    const connection = this.#connections.get(socket);
    // an answer to an earlier request may still be on its way: two writers on one connection would mix them
    if (!connection || connection.last || connection.pending.size > 0) {
      socket.destroy();
      return;
    }
    connection.upgraded = true;
    try {
      const head = parseHead(message, this.#bounds.fieldsMax);
      if (head.method !== "GET" || hasBody(head.headers)) throw new Fault("malformed_request", "an upgrade is a GET without a body");
      await this.#handler.upgrade({ head, socket, early, refuse: (answer) => this.#endWith(socket, answer) });
    } catch (error) {
      this.#refuse(socket, toFault(error));
    }
  }

  #clientError(error: NodeJS.ErrnoException, socket: Duplex): void {
    const connection = this.#connections.get(socket);
    const open = socket.writable && error.code !== "ECONNRESET";
    // what stands behind the last request is never read, so it cannot be wrong: the answer under way ends the connection
    if (open && connection?.last === true && connection.pending.size > 0) return;
    if (!open || !connection || connection.last || !isAnswerable(connection)) {
      socket.destroy();
      return;
    }
    connection.last = true;
    this.#refuse(socket, toParseFault(error));
  }

  #refuse(socket: Duplex, fault: Fault): void {
    try {
      this.#endWith(socket, this.#handler.refuse(fault));
    } catch {
      socket.destroy(); // not even the refusal can be sent
    }
  }

  #endWith(socket: Duplex, answer: Answer): void {
    socket.end(toBytesOnWire(this.#checked(answer)));
    // the caller's own end closes it sooner; one that never ends is not waited for
    setTimeout(() => socket.destroy(), this.#bounds.lingerMs).unref();
  }
}

function createExchange(head: RequestHead, pending: Pending): Exchange {
  const { message, response, abort } = pending;
  let read = false;
  const goOn = (): void => {
    if (pending.waits) response.writeContinue();
    pending.waits = false;
  };
  return {
    head,
    signal: abort.signal,
    async readBody(bytesMax) {
      if (read) throw new Error("the body of this request was read before");
      read = true;
      return await readBody({ message, headers: head.headers, goOn }, bytesMax);
    },
  };
}

function announcesBody(message: IncomingMessage): boolean {
  return message.headers["transfer-encoding"] !== undefined || Number(message.headers["content-length"] ?? 0) > 0;
}

/** Whether a refusal would be taken for the answer to the request that broke, and not to one before it or for a part of an answer. */
function isAnswerable({ pending }: Connection): boolean {
  const [first, second] = pending;
  return !first || (!second && !first.message.complete && !first.response.headersSent);
}

function toParseFault(error: NodeJS.ErrnoException): Fault {
  const detail = PARSE_DETAILS[error.code ?? ""] ?? "The request is not HTTP/1.1.";
  return new Fault("malformed_request", `${error.code ?? "error"}: ${error.message}`, { public: { detail }, cause: error });
}

const PARSE_DETAILS: Readonly<Record<string, string>> = {
  HPE_HEADER_OVERFLOW: "The header fields are too large.",
  ERR_HTTP_REQUEST_TIMEOUT: "The request did not arrive in time.",
};

function toListenFault(error: NodeJS.ErrnoException, host: string, port: number): Fault {
  const why = error.code === "EADDRINUSE" ? "it is in use" : `it cannot be opened (${error.code ?? error.message})`;
  const detail = `Port ${port} on ${host}: ${why}. Stop the program that has it or set another port.`;
  return new Fault("dependency_unavailable", detail, { public: { detail }, cause: error });
}
