import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { test, type TestContext } from "node:test";
import { type WebSocket, WebSocketServer } from "ws";
import { createEgress, type Egress, type Lookup } from "../../src/wire/index.ts";

const BOUNDS = { messageBytesMax: 1_000, queuedMax: 10, timeoutMs: 5_000 };

function guarded(t: TestContext, loopback: boolean, lookup?: Lookup): Egress {
  const egress = createEgress({ policy: { loopback, ports: [443] }, ...(lookup && { lookup }) });
  t.after(() => egress.close());
  return egress;
}

const open = (egress: Egress, url: string, signal = new AbortController().signal) => egress.openSocket({ ...BOUNDS, url, signal });

async function startPeer(t: TestContext, onConnection: (socket: WebSocket) => void = () => undefined): Promise<string> {
  const server = new WebSocketServer({ port: 0, host: "127.0.0.1" });
  server.on("connection", onConnection);
  await once(server, "listening");
  t.after(() => {
    for (const client of server.clients) client.terminate();
    server.close();
  });
  return `ws://127.0.0.1:${(server.address() as AddressInfo).port}`; // a listening TCP server has one
}

test("a WebSocket goes to no address that a request may not go to", async (t) => {
  const egress = guarded(t, false, () => Promise.resolve([{ address: "10.0.0.1", family: 4 }]));
  for (const url of [
    "ws://example.com/",
    "wss://127.0.0.1/",
    "wss://10.0.0.1/",
    "wss://169.254.169.254/",
    "wss://[::1]/",
    "wss://user@example.com/",
    "wss://example.com:22/",
    "https://example.com/",
    "wss:example.com",
    "",
  ])
    await assert.rejects(open(egress, url), { code: "egress_denied" }, url);
  // the name is looked up by the guard, which refuses what it leads to
  await assert.rejects(open(egress, "wss://leads-inside.example.com/"), { code: "egress_denied" });
});

test("a redirect of the handshake is not followed", async (t) => {
  const target = await startPeer(t);
  const server = createServer();
  server.on("upgrade", (_request, socket) =>
    socket.end(`HTTP/1.1 307 Temporary Redirect\r\nlocation: ${target}\r\ncontent-length: 0\r\n\r\n`),
  );
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => server.close());
  const { port } = server.address() as AddressInfo; // a listening TCP server has one
  await assert.rejects(open(guarded(t, true), `ws://127.0.0.1:${port}/`), { code: "upstream_unreachable" });
});

test("messages are read in order, the first one too, and one that is too large ends the connection", async (t) => {
  const url = await startPeer(t, (socket) => {
    for (const text of ["one", "two", "x".repeat(1_001), "three"]) socket.send(text);
  });
  const connection = await open(guarded(t, true), url);
  const texts: string[] = [];
  for await (const text of connection.messages) texts.push(text);
  assert.deepEqual(texts, ["one", "two"]);
});

test("the peer's code is known, and the caller's signal ends it", async (t) => {
  const closing = await open(guarded(t, true), await startPeer(t, (socket) => socket.close(4_004)));
  for await (const text of closing.messages) assert.fail(text);
  assert.equal(closing.closeCode, 4_004);
  const ends = new AbortController();
  const connection = await open(guarded(t, true), await startPeer(t), ends.signal);
  ends.abort(new Error("over"));
  for await (const text of connection.messages) assert.fail(text);
  await assert.rejects(open(guarded(t, true), await startPeer(t), ends.signal), /over/);
});
