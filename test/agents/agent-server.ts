import { once } from "node:events";
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { TestContext } from "node:test";

/** What reached the agent. */
export interface ReceivedRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

/** A real agent on the loopback address, as good or as bad as its handler. */
export interface AgentServer {
  readonly url: string;
  readonly received: readonly ReceivedRequest[];
  /** The next request whose connection is closed before the answer was finished. */
  nextCutOff(): Promise<void>;
}

export type AgentHandler = (request: ReceivedRequest, response: ServerResponse) => void;

/** Starts an agent that is gone when the test is over. */
export async function startAgent(t: TestContext, handler: AgentHandler): Promise<AgentServer> {
  const received: ReceivedRequest[] = [];
  const cutOff: (() => void)[] = [];
  const server = createServer((request, response) => {
    response.on("close", () => {
      if (!response.writableFinished) for (const tell of cutOff.splice(0)) tell();
    });
    void readRequest(request).then((whole) => {
      received.push(whole);
      handler(whole, response);
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  const nextCutOff = (): Promise<void> => {
    const { promise, resolve } = Promise.withResolvers<void>();
    cutOff.push(resolve);
    return promise;
  };
  const { port } = server.address() as AddressInfo; // a listening TCP server has one
  return { url: `http://127.0.0.1:${port}`, received, nextCutOff };
}

async function readRequest(request: IncomingMessage): Promise<ReceivedRequest> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer); // no encoding is set, so every chunk is a Buffer
  const { method = "", url = "", headers } = request;
  return { method, path: url, headers, body: Buffer.concat(chunks).toString() };
}

/** An answer of these bytes and this type. */
export function answers(type: string, body: string | Uint8Array, status = 200): AgentHandler {
  return (_request, response) => response.writeHead(status, { "content-type": type }).end(body);
}

/** A stream of these bytes, properly ended. */
export function streams(body: string | Uint8Array): AgentHandler {
  return answers("text/event-stream", body);
}
