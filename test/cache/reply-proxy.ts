import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";

/** What happens to a piece of what Redis answers: the pieces that go on in its place. */
export type Meddle = (piece: Buffer) => readonly Buffer[];

/** A connection to Redis through somebody who meddles with the answers. */
export interface ReplyProxy {
  readonly url: string;
  /** From now on; without an argument nothing is touched. */
  meddle(with_?: Meddle): void;
  /** Connections so far. */
  readonly connections: number;
  close(): void;
}

/** Starts one before this Redis. */
export async function startReplyProxy(redisUrl: string): Promise<ReplyProxy> {
  const { port: redisPort } = new URL(redisUrl);
  const sockets = new Set<Socket>();
  let meddle: Meddle = (piece) => [piece];
  let connections = 0;
  const server = createServer((near) => {
    connections++;
    const far = connect(Number(redisPort), "127.0.0.1");
    for (const [socket, other] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(socket);
      socket.setNoDelay(true);
      socket.on("error", () => {});
      socket.on("close", () => {
        sockets.delete(socket);
        other.destroy();
      });
    }
    near.on("data", (piece: Buffer) => far.write(piece));
    far.on("data", (piece: Buffer) => {
      for (const each of meddle(piece)) near.write(each);
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo; // a listening TCP server has one
  return {
    url: `redis://127.0.0.1:${port}`,
    meddle: (next = (piece) => [piece]) => void (meddle = next),
    get connections() {
      return connections;
    },
    close() {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}
