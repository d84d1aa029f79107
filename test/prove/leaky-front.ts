import { createServer, type IncomingMessage, request, type ServerResponse } from "node:http";
import { type AddressInfo, connect, type Socket } from "node:net";
import { after } from "node:test";

/** One answer of the server behind. */
export interface Passed {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | readonly string[]>>;
  readonly body: Buffer;
}

/** A fault of a front: it may answer by itself, change who asks, or keep what was answered. */
export interface Fault {
  /** Answers instead of the server behind. */
  before?(asked: IncomingMessage): Passed | undefined;
  /** Changes the fields that are sent on: names and values by turns. */
  rewrite?(fields: readonly string[]): readonly string[];
  after?(asked: IncomingMessage, answer: Passed): Passed;
}

/** A server in front of an installation that hands everything on, but for its fault. It ends with the test file. */
export async function startFront(behind: string, fault: Fault): Promise<string> {
  const server = createServer({ insecureHTTPParser: false, maxHeaderSize: 64 * 1024 }, (asked, answering) => {
    handOn(behind, fault, asked, answering).catch(() => answering.destroy());
  });
  server.on("upgrade", (asked: IncomingMessage, socket: Socket) => tunnel(behind, fault, asked, socket));
  server.listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  after(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo; // it listens on a port
  return `http://127.0.0.1:${port}`;
}

/** A WebSocket is handed on byte by byte, its handshake with the fields as the fault leaves them. */
function tunnel(behind: string, fault: Fault, asked: IncomingMessage, socket: Socket): void {
  const fields = fault.rewrite?.(asked.rawHeaders) ?? asked.rawHeaders;
  const lines = fields.flatMap((name, at) => (at % 2 === 0 ? [`${name}: ${fields[at + 1] ?? ""}`] : []));
  const { hostname, port } = new URL(behind);
  const onward = connect(Number(port), hostname);
  onward.write([`GET ${asked.url ?? "/"} HTTP/1.1`, ...lines, "", ""].join("\r\n"));
  onward.pipe(socket).pipe(onward);
  for (const [end, other] of [
    [onward, socket],
    [socket, onward],
  ] as const) {
    end.on("error", () => other.destroy());
    end.on("close", () => other.destroy());
  }
}

async function handOn(behind: string, fault: Fault, asked: IncomingMessage, answering: ServerResponse): Promise<void> {
  const pieces: Buffer[] = [];
  for await (const piece of asked) pieces.push(piece as Buffer); // no encoding is set
  const answer = fault.before?.(asked) ?? (await pass(behind, fault, asked, Buffer.concat(pieces)));
  const { status, headers, body } = fault.after?.(asked, answer) ?? answer;
  answering.writeHead(status, { ...headers, "content-length": String(body.length) } as Record<string, string>);
  answering.end(body);
}

async function pass(behind: string, fault: Fault, asked: IncomingMessage, sent: Buffer): Promise<Passed> {
  const fields = fault.rewrite?.(asked.rawHeaders) ?? asked.rawHeaders;
  return await new Promise((resolve, reject) => {
    const onward = request(behind, { method: asked.method ?? "GET", path: asked.url ?? "/", headers: [...fields] }, (answer) => {
      answer.toArray().then((pieces: Buffer[]) => {
        const { "transfer-encoding": _own, connection: _mine, ...headers } = answer.headers;
        resolve({ status: answer.statusCode ?? 0, headers: headers as Passed["headers"], body: Buffer.concat(pieces) });
      }, reject);
    });
    onward.on("error", reject);
    onward.end(sent);
  });
}
