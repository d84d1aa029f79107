import { createServer, isIPv6, type Server, type Socket } from "node:net";
import { Fault } from "../kernel/index.ts";
import type { House, HouseConnection } from "./house.ts";
import type { HttpBounds, HttpHandler, HttpServer, ServerTls } from "./http.ts";
import { CallerConnection } from "./http1/caller-connection.ts";
import { type Ends, type RequestRules, toRules } from "./http1/request-parser.ts";
import { createH2Connection } from "./http2/h2-connection.ts";
import { TimerWheel } from "./timer-wheel.ts";
import { createTlsServer } from "./tls-server.ts";

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

/** How often time limits are looked at, at most and at least; a quarter of the shortest limit in between. */
const TICK_MS_MIN = 5;
const TICK_MS_MAX = 100;
/** How long a connection that waits for its next request may still send it while its port closes. */
const LAST_REQUEST_MS = 250;

/** Where to listen, who answers and what is taken. */
export interface HttpServerOptions {
  /** The address to listen on. */
  readonly host: string;
  /** 0 takes a free port, which `url` then tells. */
  readonly port: number;
  readonly handler: HttpHandler;
  readonly bounds?: Partial<HttpBounds>;
  /** Without it the port speaks plain HTTP/1.1. */
  readonly tls?: ServerTls;
  /** Methods that are let through; the usual seven when absent. CONNECT never is. */
  readonly methods?: ReadonlySet<string>;
  /** `strict`: a target that is read the same way by everybody, see `Target`. `lenient`: any target in origin form of visible ASCII. */
  readonly targets?: "strict" | "lenient";
  /** Fields besides those of the framing that may come only once; credentials and the content's type when absent. */
  readonly singleFields?: readonly string[];
}

/**
 * Listens for HTTP/1.1, with certificates also for HTTP/2. The handler sees only requests that every reader understands the same way; all
 * others are answered through `handler.refuse` and their connection closed. Throws `dependency_unavailable` when the port cannot be had.
 */
export async function createHttpServer(options: HttpServerOptions): Promise<HttpServer> {
  const listener = new Listener(options);
  const url = await listener.listen(options.host, options.port);
  return { url, close: (graceMs) => listener.close(graceMs) };
}

class Listener implements House {
  readonly handler: HttpHandler;
  readonly bounds: HttpBounds;
  readonly rules: RequestRules;
  readonly wheel: TimerWheel;
  closing = false;
  readonly #server: Server;
  readonly #scheme: "http" | "https";
  readonly #connections = new Set<HouseConnection>();
  /** The TCP connections below those with TLS, by their caller. */
  readonly #sockets = new Map<string, Socket>();
  #closed: Promise<void> | undefined;

  constructor({ handler, bounds, tls, methods, targets, singleFields }: HttpServerOptions) {
    this.handler = handler;
    this.bounds = { ...HTTP_BOUNDS, ...bounds };
    this.rules = toRules(this.bounds.fieldsMax, methods, targets, singleFields);
    this.wheel = new TimerWheel(tickFor(this.bounds));
    this.#scheme = tls ? "https" : "http";
    this.#server = tls
      ? createTlsServer(tls, this.bounds.headersTimeoutMs, (socket, isHttp2) => this.#take(socket, isHttp2))
      : createServer({ allowHalfOpen: true, noDelay: true }, (socket) => this.#take(socket, false));
    this.#server.maxConnections = this.bounds.connectionsMax;
    if (tls) this.#server.on("connection", (socket: Socket) => this.#watch(socket));
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
    return `${this.#scheme}://${isIPv6(host) ? `[${host}]` : host}:${bound}`;
  }

  forget(connection: HouseConnection): void {
    this.#connections.delete(connection);
  }

  close(graceMs: number): Promise<void> {
    this.#closed ??= this.#shutDown(graceMs);
    return this.#closed;
  }

  /** Connections under way take their answers, and idle ones may send what is already on its way: their callers know of no end yet. */
  async #shutDown(graceMs: number): Promise<void> {
    this.closing = true;
    const ended = new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
    });
    const idle = setTimeout(
      () => {
        for (const connection of this.#connections) connection.leave();
      },
      Math.min(graceMs, LAST_REQUEST_MS),
    );
    const grace = setTimeout(() => {
      for (const connection of this.#connections) connection.destroy();
      for (const socket of this.#sockets.values()) socket.destroy();
    }, graceMs);
    await ended;
    clearTimeout(idle);
    clearTimeout(grace);
    this.wheel.close();
  }

  #watch(socket: Socket): void {
    const caller = callerOf(socket);
    this.#sockets.set(caller, socket);
    socket.once("close", () => this.#sockets.delete(caller));
  }

  #take(socket: Socket, isHttp2: boolean): void {
    const ends = endsOf(socket, this.#scheme);
    const transport = this.#sockets.get(callerOf(socket)) ?? socket;
    this.#connections.add(isHttp2 ? createH2Connection(this, socket, transport, ends) : new CallerConnection(this, socket, ends));
  }
}

function callerOf({ remoteAddress = "", remotePort = 0 }: Socket): string {
  return `${remoteAddress} ${remotePort}`;
}

function tickFor(bounds: HttpBounds): number {
  const { headersTimeoutMs, requestTimeoutMs, keepAliveTimeoutMs, stallTimeoutMs, lingerMs } = bounds;
  const shortest = Math.min(headersTimeoutMs, requestTimeoutMs, keepAliveTimeoutMs, stallTimeoutMs, lingerMs);
  return Math.max(TICK_MS_MIN, Math.min(TICK_MS_MAX, Math.floor(shortest / 4)));
}

function endsOf(socket: Socket, scheme: "http" | "https"): Ends {
  const { remoteAddress = "", remotePort = 0, localAddress = "", localPort = 0 } = socket;
  return { remoteAddress: toPlainAddress(remoteAddress), remotePort, localAddress: toPlainAddress(localAddress), localPort, scheme };
}

/** An IPv4 caller of a dual-stack socket under its own address, so that rules about addresses see one spelling. */
function toPlainAddress(address: string): string {
  return address.startsWith("::ffff:") && address.includes(".") ? address.slice("::ffff:".length) : address;
}

function toListenFault(error: NodeJS.ErrnoException, host: string, port: number): Fault {
  const why = error.code === "EADDRINUSE" ? "it is in use" : `it cannot be opened (${error.code ?? error.message})`;
  const detail = `Port ${port} on ${host}: ${why}. Stop the program that has it or set another port.`;
  return new Fault("dependency_unavailable", detail, { public: { detail }, cause: error });
}
