import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** What a stub makes of a request whose body has been read. An error it throws is kept, and answered with 500. */
export type StubHandler = (request: IncomingMessage, body: Buffer, response: ServerResponse) => void;

/** A server of a protocol on the loopback address, which keeps what it did not like. */
export interface StubServer {
  readonly url: string;
  /** What the handler threw: requests that were not as they have to be. */
  readonly problems: unknown[];
  /** The requests so far. */
  readonly requests: number;
  /** While true every connection is cut before an answer. */
  down: boolean;
  close(): void;
}

/** Starts one. */
export async function startStub(handle: StubHandler): Promise<StubServer> {
  const problems: unknown[] = [];
  const state = { down: false, requests: 0 };
  const server = createServer((request, response) => {
    const pieces: Buffer[] = [];
    request.on("data", (piece: Buffer) => pieces.push(piece));
    request.on("error", () => response.destroy());
    response.on("error", () => response.destroy());
    request.on("end", () => {
      state.requests++;
      if (state.down) return void response.destroy();
      try {
        handle(request, Buffer.concat(pieces), response);
      } catch (error) {
        problems.push(error);
        response.writeHead(500).end();
      }
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo; // a listening TCP server has one
  return {
    url: `http://127.0.0.1:${port}`,
    problems,
    get requests() {
      return state.requests;
    },
    get down() {
      return state.down;
    },
    set down(value) {
      state.down = value;
    },
    close() {
      server.close();
      server.closeAllConnections();
    },
  };
}

/** The stub with parts of its own protocol beside it; its accessors stay what they are. */
export function withParts<P extends object>(stub: StubServer, parts: P): StubServer & P {
  return Object.defineProperties(parts, Object.getOwnPropertyDescriptors(stub)) as P & StubServer; // it has all of both now
}
