import { once } from "node:events";
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** What reached an agent, to the byte. */
export interface AgentRequest {
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly rawHeaders: readonly string[];
  readonly body: string;
}

/** How an agent behaves for one request. */
export type AgentBehaviour = (request: AgentRequest, response: ServerResponse) => void;

/** A real agent of one tenant on the loopback address: it keeps all it receives, and behaves as the test says. */
export interface RecordedAgent {
  readonly url: string;
  readonly received: AgentRequest[];
  /** Behaves so from now on; without an argument as at the start. */
  behave(behaviour?: AgentBehaviour): void;
  close(): void;
}

/** Starts an agent whose first behaviour is this one. */
export async function startRecordedAgent(usual: AgentBehaviour): Promise<RecordedAgent> {
  const received: AgentRequest[] = [];
  let behaviour = usual;
  const server = createServer((message, response) => {
    response.on("error", () => response.destroy());
    readWhole(message).then(
      (request) => {
        received.push(request);
        behaviour(request, response);
      },
      () => response.destroy(),
    );
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo; // a listening TCP server has one
  return {
    url: `http://127.0.0.1:${port}`,
    received,
    behave: (next = usual) => void (behaviour = next),
    close() {
      server.close();
      server.closeAllConnections();
    },
  };
}

/** An agent's whole answer in the webhook protocol. */
export function says(text: string): AgentBehaviour {
  return (_request, response) => response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify({ response: text }));
}

async function readWhole(message: IncomingMessage): Promise<AgentRequest> {
  const pieces: Buffer[] = [];
  for await (const piece of message) pieces.push(piece as Buffer); // no encoding is set, so every piece is a Buffer
  const { url = "", headers, rawHeaders } = message;
  return { path: url, headers, rawHeaders, body: Buffer.concat(pieces).toString() };
}
