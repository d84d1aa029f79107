import type { AddressInfo, Socket } from "node:net";
import { createServer } from "node:net";
import { toFault } from "../../src/kernel/index.ts";
import {
  type Answer,
  createHttpServer,
  createUpstreamPool,
  type Exchange,
  type ExchangeEnd,
  type Forward,
  type ForwardFailure,
  type HttpServerOptions,
  type UpstreamPool,
} from "../../src/wire/index.ts";
import type { Ending } from "./loopback.ts";

/** A gateway that sends everything on, with what its handler saw. */
export interface TestGateway {
  readonly port: number;
  readonly pool: UpstreamPool;
  readonly failures: ForwardFailure[];
  readonly ends: ExchangeEnd[];
  close(graceMs: number): Promise<void>;
}

const TIMEOUTS = { connectMs: 5_000, sendMs: 5_000, readMs: 5_000 };
const KEEP_ALIVE = { idleMax: 100, idleMs: 60_000, requestsMax: 1_000_000 };

/** What a test changes of the usual way of sending on. */
export interface GatewayOptions {
  /** Members of the forward that differ from the usual ones; may throw, which refuses the request. */
  readonly change?: (exchange: Exchange, usual: Forward) => Partial<Forward> | Promise<Partial<Forward>>;
  readonly server?: Partial<HttpServerOptions>;
}

/** A listening gateway in front of one upstream on this machine. */
export async function startGateway(ending: Ending, upstreamPort: number, options: GatewayOptions = {}): Promise<TestGateway> {
  const pool = createUpstreamPool({ tickMs: 5 });
  const failures: ForwardFailure[] = [];
  const ends: ExchangeEnd[] = [];
  const usual = (exchange: Pick<Exchange, "head">): Forward => ({
    pool,
    owner: "",
    origin: { host: "127.0.0.1", port: upstreamPort, tls: undefined },
    keepAlive: KEEP_ALIVE,
    method: exchange.head.method,
    target: exchange.head.target.raw,
    headers: exchange.head.headers.edit(),
    body: "pass",
    upgrade: false,
    timeouts: TIMEOUTS,
    onResponse: (head) => ({ kind: "pass", status: head.status, headers: head.headers.edit() }),
    onFailure: (failure) => {
      failures.push(failure);
      return { status: failure.kind.endsWith("timeout") ? 504 : 502, headers: {}, body: failure.kind } satisfies Answer;
    },
  });
  const server = await createHttpServer({
    host: "127.0.0.1",
    port: 0,
    handler: {
      async handle(exchange) {
        exchange.onEnd((end) => ends.push(end));
        const forward = usual(exchange);
        exchange.forward({ ...forward, ...(await options.change?.(exchange, forward)) });
        return undefined;
      },
      upgrade(exchange) {
        exchange.onEnd((end) => ends.push(end));
        exchange.forward({ ...usual(exchange), upgrade: true });
      },
      refuse: (fault) => ({ status: toFault(fault).status, headers: {}, body: fault.code }),
    },
    ...options.server,
  });
  ending.after(async () => {
    await server.close(0);
    pool.close();
  });
  return { port: Number(new URL(server.url).port), pool, failures, ends, close: (graceMs) => server.close(graceMs) };
}

/** One request as an upstream received it. */
export interface ReceivedRequest {
  readonly head: string;
  readonly body: string;
}

/** A strict upstream: it counts requests and says back what it got. A request it cannot read ends the test's count visibly. */
export interface EchoUpstream {
  readonly port: number;
  readonly requests: ReceivedRequest[];
  readonly sockets: Set<Socket>;
  /** Bytes that were no request. */
  readonly garbage: string[];
}

/** Listens as an upstream whose answers say the method and target, unless `answer` gives the bytes to send. */
export async function startEcho(
  ending: Ending,
  answer?: (request: ReceivedRequest, socket: Socket) => string | undefined,
): Promise<EchoUpstream> {
  const echo: EchoUpstream = { port: 0, requests: [], sockets: new Set(), garbage: [] };
  const server = createServer((socket) => {
    echo.sockets.add(socket);
    socket.on("error", () => socket.destroy()).on("close", () => echo.sockets.delete(socket));
    let rest = "";
    socket.setEncoding("latin1").on("data", (text: string) => {
      rest += text;
      for (let read = readRequest(rest, echo); read; read = readRequest(rest, echo)) {
        rest = rest.slice(read.length);
        echo.requests.push(read.request);
        const line = read.request.head.slice(0, read.request.head.indexOf(" HTTP/"));
        const bytes = answer ? answer(read.request, socket) : `HTTP/1.1 200 OK\r\ncontent-length: ${line.length}\r\n\r\n${line}`;
        if (bytes !== undefined && socket.writable) socket.write(bytes, "latin1");
      }
    });
  });
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  ending.after(() => {
    server.close();
    for (const socket of echo.sockets) socket.destroy();
  });
  return Object.assign(echo, { port: (server.address() as AddressInfo).port }); // a TCP server's address is an AddressInfo
}

interface ReadRequest {
  readonly request: ReceivedRequest;
  readonly length: number;
}

function readRequest(text: string, echo: EchoUpstream): ReadRequest | undefined {
  const end = text.indexOf("\r\n\r\n");
  if (end === -1) return undefined;
  const head = text.slice(0, end + 4);
  if (!/^[A-Z]+ \S+ HTTP\/1\.1\r\n/.test(head)) echo.garbage.push(head);
  if (/\r\ntransfer-encoding: chunked\r\n/i.test(head)) return readChunks(text, head);
  const length = Number(/\r\ncontent-length: (\d+)\r\n/i.exec(head)?.[1] ?? 0);
  if (text.length < head.length + length) return undefined;
  return { request: { head, body: text.slice(head.length, head.length + length) }, length: head.length + length };
}

function readChunks(text: string, head: string): ReadRequest | undefined {
  let [at, body] = [head.length, ""];
  for (;;) {
    const line = text.indexOf("\r\n", at);
    if (line === -1) return undefined;
    const size = Number.parseInt(text.slice(at, line), 16);
    const next = line + 2 + size + 2;
    if (text.length < next) return undefined;
    body += text.slice(line + 2, line + 2 + size);
    if (size === 0) return { request: { head, body }, length: next };
    at = next;
  }
}
