import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { type Fault, toFault } from "../../src/kernel/index.ts";
import {
  type Answer,
  createHttpServer,
  type Exchange,
  type HttpBounds,
  type HttpServer,
  type UpgradeExchange,
} from "../../src/wire/index.ts";

/** A server whose handler is the test's own, with what it was asked to do. */
export interface TestServer {
  readonly server: HttpServer;
  readonly port: number;
  /** The targets that reached the handler. */
  readonly handled: string[];
  readonly refused: Fault[];
  readonly upgraded: UpgradeExchange[];
}

export const OK: Answer = { status: 200, headers: {}, body: "ok" };

/** Where to leave what must be closed when the test is over, also when it failed: a test context, or the `after` of a suite. */
export interface Ending {
  after(close: () => Promise<void> | void): void;
}

/** A listening server; `handle` gives the answers. */
export async function listen(
  ending: Ending,
  handle: (exchange: Exchange) => Promise<Answer> | Answer = () => OK,
  bounds: Partial<HttpBounds> = {},
  upgrade: (exchange: UpgradeExchange) => void = () => undefined,
): Promise<TestServer> {
  const handled: string[] = [];
  const refused: Fault[] = [];
  const upgraded: UpgradeExchange[] = [];
  const refuse = (fault: Fault): Answer => {
    refused.push(fault);
    return { status: fault.status, headers: { "content-type": "text/plain", ...fault.public.headers }, body: fault.code };
  };
  const server = await createHttpServer({
    host: "127.0.0.1",
    port: 0,
    bounds,
    handler: {
      async handle(exchange) {
        handled.push(exchange.head.target.raw);
        try {
          return await handle(exchange);
        } catch (error) {
          return refuse(toFault(error));
        }
      },
      async upgrade(exchange) {
        upgraded.push(exchange);
        upgrade(exchange);
      },
      refuse,
    },
  });
  ending.after(() => server.close(0));
  return { server, port: Number(new URL(server.url).port), handled, refused, upgraded };
}

/** A raw connection that keeps all it receives. */
export class RawClient {
  readonly socket: Socket;
  /** Settles when the connection is closed, with everything that was received. */
  readonly closed: Promise<string>;
  /** What broke the connection, if anything did: undefined after a proper end. */
  broken: Error | undefined;
  #received = "";
  readonly #wanted = new Set<{ text: string; found: () => void }>();

  constructor(port: number) {
    this.socket = connect({ port, host: "127.0.0.1" }).setEncoding("latin1");
    this.socket.on("data", (text: string) => this.#receive(text));
    this.socket.on("error", (error) => {
      this.broken = error;
    });
    this.closed = new Promise((resolve) => {
      this.socket.once("close", () => resolve(this.#received));
    });
  }

  get received(): string {
    return this.#received;
  }

  send(text: string): this {
    this.socket.write(text, "latin1");
    return this;
  }

  /** Waits until this text was received. */
  until(text: string): Promise<void> {
    if (this.#received.includes(text)) return Promise.resolve();
    return new Promise((resolve, reject) => {
      this.#wanted.add({ text, found: resolve });
      this.socket.once("close", () => reject(new Error(`closed before ${JSON.stringify(text)}, after ${JSON.stringify(this.#received)}`)));
    });
  }

  #receive(text: string): void {
    this.#received += text;
    for (const { text: wanted, found } of this.#wanted) if (this.#received.includes(wanted)) found();
  }
}

/** Sends these bytes on a connection of their own and gives all that came back until it was closed. */
export function exchangeRaw(port: number, text: string): Promise<string> {
  return new RawClient(port).send(text).closed;
}

/** A complete GET that ends its connection, with further field lines. */
export function get(target: string, ...lines: string[]): string {
  return [`GET ${target} HTTP/1.1`, "Host: a.example", "Connection: close", ...lines, "", ""].join("\r\n");
}

/** The status of each answer in what was received. */
export function statuses(received: string): number[] {
  return [...received.matchAll(/(?:^|\r\n|[^\r\n])HTTP\/1\.1 (\d{3}) /g)].map((match) => Number(match[1]));
}

/** The port of a plain TCP server that does this with each connection. */
export async function listenTcp(ending: Ending, onSocket: (socket: Socket) => void): Promise<number> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => socket.destroy()).on("close", () => sockets.delete(socket));
    onSocket(socket);
  });
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  ending.after(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  return (server.address() as AddressInfo).port; // a TCP server's address is an AddressInfo
}

/** The body of the one answer in what was received. */
export function bodyOf(received: string): string {
  return received.slice(received.indexOf("\r\n\r\n") + 4);
}

/** A promise and what settles it. */
export function gate(): { readonly opened: Promise<void>; open: () => void } {
  const { promise, resolve } = Promise.withResolvers<void>();
  return { opened: promise, open: () => resolve() };
}
