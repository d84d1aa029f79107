import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
import { after, describe, test } from "node:test";
import { WebSocket } from "ws";
import { Fault } from "../../src/kernel/index.ts";
import { acceptWebSocket, type Answer, createHttpServer, type HttpHandler, type HttpServer } from "../../src/wire/index.ts";

const BOUNDS = { messageBytesMax: 1_000, queuedMax: 4 };
const NOT_HERE: Answer = { status: 404, headers: {}, body: undefined };
const servers: HttpServer[] = [];
after(async () => void (await Promise.all(servers.map((server) => server.close(0)))));

/** A server that says every text message back, in capitals; `failed` gets what acceptWebSocket throws. */
async function echo(failed: (fault: Fault) => void = () => {}): Promise<string> {
  const handler: HttpHandler = {
    handle: async () => NOT_HERE,
    refuse: () => NOT_HERE,
    async upgrade(exchange) {
      try {
        const connection = await acceptWebSocket(exchange, BOUNDS);
        for await (const text of connection.messages) await connection.send(text.toUpperCase());
      } catch (error) {
        assert.ok(error instanceof Fault);
        failed(error);
        exchange.refuse({ status: error.status, headers: {}, body: undefined });
      }
    },
  };
  const server = await createHttpServer({ host: "127.0.0.1", port: 0, handler });
  servers.push(server);
  return server.url;
}

async function open(url: string): Promise<WebSocket> {
  const socket = new WebSocket(url.replace("http", "ws"));
  await once(socket, "open");
  return socket;
}

describe("a WebSocket", () => {
  test("carries text messages both ways, in order", async () => {
    const socket = await open(await echo());
    const got: string[] = [];
    socket.on("message", (data: Buffer) => got.push(data.toString()));
    for (const text of ["one", "two", "drei ä"]) socket.send(text);
    while (got.length < 3) await once(socket, "message");
    assert.deepEqual(got, ["ONE", "TWO", "DREI Ä"]);
    socket.close();
    await once(socket, "close");
  });

  test("is closed on a binary message and on one that is too large", async () => {
    const url = await echo();
    for (const [sent, code] of [
      [Buffer.from([1, 2, 3]), 1003],
      ["x".repeat(1_001), 1009],
    ] as const) {
      const socket = await open(url);
      socket.send(sent);
      assert.deepEqual((await once(socket, "close"))[0], code);
    }
  });

  test("is not made of a wrong handshake, and nothing waits for it", async () => {
    for (const [lines, code] of [
      [["Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13"], "upstream_unreachable"],
      [["Upgrade: h2c", "Connection: Upgrade"], "malformed_request"],
    ] as const) {
      const failed: string[] = [];
      const url = new URL(await echo((fault) => failed.push(fault.code)));
      const socket = connect(Number(url.port), url.hostname);
      socket.write(`GET / HTTP/1.1\r\nHost: ${url.host}\r\n${lines.join("\r\n")}\r\n\r\n`);
      const [answer] = (await once(socket, "data")) as [Buffer]; // the event's arguments
      assert.match(answer.toString("latin1"), /^HTTP\/1\.1 4\d\d /);
      if (!socket.closed) await once(socket, "close");
      assert.deepEqual(failed, [code]);
    }
  });
});
