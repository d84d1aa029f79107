import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { WebSocketServer } from "ws";
import { until } from "../support/until.ts";

/** One connection of an app, as the platform sees it. */
export interface AppConnection {
  readonly path: string;
  /** What the app has said, in order. */
  readonly said: Readonly<Record<string, unknown>>[];
  readonly open: boolean;
  send(message: object | string): void;
  close(code?: number): void;
  /** As if the network were gone. */
  cut(): void;
}

/** A platform that apps connect to. */
export interface SocketServer {
  readonly url: string;
  /** All connections so far, in order. */
  readonly connections: readonly AppConnection[];
  /** The first connection behind the given ones. */
  next(after: number): Promise<AppConnection>;
  close(): void;
}

/** Starts one. `greet` says the first word on each connection, as platforms do; `hear` is told of what the app says. */
export async function startSocketServer(
  greet: (connection: AppConnection) => void,
  hear: (connection: AppConnection, message: Readonly<Record<string, unknown>>) => void = () => undefined,
): Promise<SocketServer> {
  const connections: AppConnection[] = [];
  const server = new WebSocketServer({ port: 0, host: "127.0.0.1" });
  server.on("connection", (socket, request) => {
    const said: Record<string, unknown>[] = [];
    const connection: AppConnection = {
      path: request.url ?? "",
      said,
      get open() {
        return socket.readyState === socket.OPEN;
      },
      send: (message) => socket.send(typeof message === "string" ? message : JSON.stringify(message)),
      close: (code = 1000) => socket.close(code),
      cut: () => socket.terminate(),
    };
    socket.on("message", (data: Buffer) => {
      const message = JSON.parse(data.toString("utf8")) as Record<string, unknown>;
      said.push(message);
      hear(connection, message);
    });
    connections.push(connection);
    greet(connection);
  });
  await once(server, "listening");
  const { port } = server.address() as AddressInfo; // a listening TCP server has one
  return {
    url: `ws://127.0.0.1:${port}`,
    connections,
    next: async (after) => await until(`connection ${after + 1}`, () => connections[after]),
    close() {
      for (const client of server.clients) client.terminate();
      server.close();
    },
  };
}
