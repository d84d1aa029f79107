import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import type { TestContext } from "node:test";
import type { Jwk } from "./issuer-keys.ts";

/** A real HTTP server that publishes a key set. */
export interface KeyServer {
  readonly url: string;
  /** Requests received. */
  readonly fetches: number;
  publish(keys: readonly Jwk[]): void;
  answer(status: number, body: string): void;
  /** Requests from now on are answered when the returned function is called. */
  hold(): () => void;
}

export async function startKeyServer(t: TestContext, keys: readonly Jwk[] = []): Promise<KeyServer> {
  let fetches = 0;
  let status = 200;
  let body = JSON.stringify({ keys });
  let held = Promise.resolve();
  const server = createServer((_request, response) => {
    fetches++;
    void held.then(() => response.writeHead(status).end(body));
  });
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  // a server that listens on TCP has an address with a port
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}/jwks.json`,
    get fetches() {
      return fetches;
    },
    publish: (published) => {
      status = 200;
      body = JSON.stringify({ keys: published });
    },
    answer: (code, text) => {
      status = code;
      body = text;
    },
    hold: () => {
      const { promise, resolve } = Promise.withResolvers<void>();
      held = promise;
      return () => resolve();
    },
  };
}

/** The bytes of a successful answer, over the network. */
export async function fetchBytes(url: string): Promise<Uint8Array> {
  const response = await fetch(url, { redirect: "error" });
  if (!response.ok) throw new Error(`status ${response.status}`);
  return new Uint8Array(await response.arrayBuffer());
}
