import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";
import { describe, test } from "node:test";
import { type Ending, startEcho, startPlane } from "../../support/data-plane.ts";
import { until } from "../../support/until.ts";

/** An upstream of bytes: what it does with each connection's first request is the test's own. */
async function startBytes(t: Ending, serve: (socket: Socket, request: string) => void): Promise<{ node: string; sockets: Set<Socket> }> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket)).on("error", () => undefined);
    socket.on("data", (bytes: Buffer) => serve(socket, bytes.toString("latin1")));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const address = server.address();
  assert.ok(typeof address === "object" && address);
  return { node: `127.0.0.1:${address.port}`, sockets };
}

const OK = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
const ONE_PLACE = { "limit-conn": { conn: 1, burst: 0, default_conn_delay: 0.01, key: "remote_addr" } };
const HEAD = "Host: a\r\nAuthorization: Bearer acme:user-1\r\n";

describe("the place of a call", () => {
  test("is free again however the call ended", async (t) => {
    const answers: Record<string, string | undefined> = {
      "/reset": undefined,
      "/none": "SSH-2.0-x\r\n\r\n",
      "/split": "HTTP/1.1 200 OK\r\nx: a\0b\r\ncontent-length: 0\r\n\r\n",
      "/short": "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n123",
      "/two": `${OK}${OK}`,
      "/early": "HTTP/1.1 413 No\r\ncontent-length: 0\r\n\r\n",
    };
    const bytes = await startBytes(t, (socket, text) => {
      const path = /^\w+ (\/\w*)/.exec(text)?.[1] ?? "";
      if (path === "/silent") return;
      if (!Object.hasOwn(answers, path)) return void socket.write(OK);
      const answer = answers[path];
      if (answer === undefined) socket.destroy();
      else socket.end(answer, "latin1");
    });
    const upstream = { type: "roundrobin", nodes: { [bytes.node]: 1 }, retries: 0, timeout: { connect: 1, send: 1, read: 0.1 } };
    const plane = await startPlane(t, {
      routes: [
        { id: "1", uri: "/*", plugins: ONE_PLACE, upstream },
        { id: "2", uri: "/small", plugins: { ...ONE_PLACE, "request-validation": { body_schema: { type: "object" } } }, upstream },
      ],
    });
    const isFree = async (path: string): Promise<void> => {
      await until(`a free place after ${path}`, async () => (await plane.send("/ok", { as: "acme" })).status === 200);
    };
    for (const path of [...Object.keys(answers), "/silent"]) {
      await plane.raw(`POST ${path} HTTP/1.1\r\n${HEAD}Connection: close\r\nContent-Length: 2\r\n\r\nab`);
      await isFree(path);
    }
    assert.equal(
      (await plane.send("/small", { as: "acme", method: "POST", body: "{", headers: { "content-type": "application/json" } })).status,
      400,
    );
    await isFree("/small");
    const calls = plane.records.filter(({ call }) => call.head.target.path !== "/ok");
    assert.equal(calls.length, Object.keys(answers).length + 2, "each was recorded once");
  });

  test("of a socket whose other side went away is free again", async (t) => {
    const bytes = await startBytes(t, (socket) => {
      socket.write(
        "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
      );
    });
    const upstream = { type: "roundrobin", nodes: { [bytes.node]: 1 } };
    const plane = await startPlane(t, { routes: [{ id: "1", uri: "/*", enable_websocket: true, plugins: ONE_PLACE, upstream }] });
    let opened = 0;
    for (const ends of ["caller", "upstream", "caller"] as const) {
      const socket = connect({ host: "127.0.0.1", port: plane.port }).on("error", () => undefined);
      const key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n";
      socket.write(`GET /x HTTP/1.1\r\n${HEAD}Connection: Upgrade\r\nUpgrade: websocket\r\n${key}\r\n`);
      const [answer] = (await once(socket, "data")) as [Buffer]; // no encoding is set
      assert.match(answer.toString("latin1"), /^HTTP\/1\.1 101 /);
      assert.equal((await plane.send("/x", { as: "acme" })).status, 429, "the socket has the place");
      if (ends === "caller") socket.resetAndDestroy();
      else for (const each of bytes.sockets) each.resetAndDestroy();
      opened++;
      await until("the socket is over", () => plane.records.filter(({ status }) => status === 101).length === opened);
    }
  });

  test("of a caller who reads nothing is free again, and no more of the answer was taken than buffers hold", async (t) => {
    const echo = await startEcho(t);
    const piece = Buffer.alloc(1024 * 1024, "x");
    let taken = 0;
    let isOver = false;
    echo.answer = ({ target }, response) => {
      if (target !== "/endless") return void response.end("done");
      const more = (): void => {
        for (;;) {
          if (isOver) return;
          taken += piece.length;
          if (!response.write(piece)) return void response.once("drain", more);
        }
      };
      response.once("close", () => (isOver = true));
      more();
    };
    const upstream = { type: "roundrobin", nodes: { [echo.node]: 1 } };
    const plane = await startPlane(
      t,
      { routes: [{ id: "1", uri: "/*", plugins: ONE_PLACE, upstream }] },
      { server: { bounds: { stallTimeoutMs: 300 } } },
    );
    const slow = connect({ host: "127.0.0.1", port: plane.port }).on("error", () => undefined);
    t.after(() => slow.destroy());
    slow.write(`GET /endless HTTP/1.1\r\n${HEAD}\r\n`);
    await once(slow, "readable");
    await until("the caller is given up", () => plane.records.length === 1 && isOver);
    assert.equal(plane.records[0]?.aborted, true);
    assert.ok(taken < 64 * 1024 * 1024, `${taken} bytes were taken from the upstream`);
    assert.equal((await plane.send("/x", { as: "acme" })).status, 200);
  });
});

describe("a connection to an upstream that was not left clean", () => {
  test("by a refused change of protocol, an early answer or a surplus one serves nobody else", async (t) => {
    let connections = 0;
    const seen = new WeakSet<Socket>();
    const bytes = await startBytes(t, (socket, text) => {
      if (!seen.has(socket)) connections++;
      seen.add(socket);
      if (text.includes("GET /next")) socket.write("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nnext");
      else if (text.includes("/upgrade")) socket.write(`HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nno${OK}`);
      else if (text.includes("/early")) socket.write("HTTP/1.1 413 No\r\ncontent-length: 0\r\n\r\n");
      else if (text.includes("/surplus")) socket.write(`${OK}HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\npoison`);
    });
    const upstream = { type: "roundrobin", nodes: { [bytes.node]: 1 } };
    const plane = await startPlane(t, { routes: [{ id: "1", uri: "/*", enable_websocket: true, upstream }] });
    const upgrade =
      "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n";
    const unclean = [
      `GET /upgrade HTTP/1.1\r\n${HEAD}${upgrade}\r\n`,
      `POST /early HTTP/1.1\r\n${HEAD}Content-Length: 100\r\n\r\nhalf`,
      `GET /surplus HTTP/1.1\r\n${HEAD}Connection: close\r\n\r\n`,
    ];
    for (const [i, text] of unclean.entries()) {
      const caller = connect({ host: "127.0.0.1", port: plane.port }).on("error", () => undefined);
      caller.write(text);
      await once(caller, "data");
      caller.destroy();
      await until("it is over", () => plane.records.length === 2 * i + 1);
      const reply = await plane.send("/next", { as: "acme" });
      assert.equal(reply.text, "next", text);
      await until("the next is over", () => plane.records.length === 2 * i + 2);
      for (const socket of bytes.sockets) socket.destroy();
      await until("nothing is kept", () => bytes.sockets.size === 0);
    }
    assert.equal(connections, 2 * unclean.length);
    assert.match(await plane.raw(`CONNECT b:443 HTTP/1.1\r\n${HEAD}\r\n`), /^HTTP\/1\.1 405 /);
  });
});
