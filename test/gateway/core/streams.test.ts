import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, request } from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { WebSocket, WebSocketServer } from "ws";
import { type Ending, startEcho, startPlane } from "../../support/data-plane.ts";
import { until } from "../../support/until.ts";

/** An upstream that sends every message back with the tenant in front. */
async function startSockets(t: Ending): Promise<string> {
  const http = createServer((_message, response) => response.writeHead(426).end("upgrade"));
  const sockets = new WebSocketServer({ server: http });
  sockets.on("connection", (socket, message) => {
    socket.on("message", (data: Buffer) => socket.send(`${String(message.headers["x-tenant-id"])}: ${data.toString("utf8")}`));
  });
  http.listen(0, "127.0.0.1");
  await once(http, "listening");
  t.after(() => {
    for (const client of sockets.clients) client.terminate();
    http.close();
  });
  return `127.0.0.1:${(http.address() as AddressInfo).port}`; // it listens on TCP
}

test("a WebSocket goes the way of every request: proof, route, plugins, record", async (t) => {
  const node = await startSockets(t);
  const upstream = { type: "roundrobin", nodes: { [node]: 1 } };
  const plane = await startPlane(t, {
    routes: [
      { id: "on", uri: "/on", enable_websocket: true, upstream },
      { id: "off", uri: "/off", upstream },
    ],
  });
  const open = (path: string, headers: Record<string, string>): WebSocket =>
    new WebSocket(`ws://127.0.0.1:${plane.port}${path}`, { headers });
  const socket = open("/on", { authorization: "Bearer acme:user-1" });
  await once(socket, "open");
  socket.send("hello");
  const [message] = (await once(socket, "message")) as [Buffer]; // no other type is asked for
  assert.equal(message.toString("utf8"), "acme: hello");
  assert.equal(plane.records.length, 0, "it is still open");
  socket.close();
  await until("the record of the socket", () => plane.records.length === 1);
  assert.deepEqual([plane.records[0]?.tenantId, plane.records[0]?.routeId, plane.records[0]?.status], ["acme", "on", 101]);
  for (const [path, headers, status] of [
    ["/on", {}, 401],
    ["/on", { authorization: "Bearer acme:user-1", "x-tenant-id": "globex" }, 403],
    ["/off", { authorization: "Bearer acme:user-1" }, 426],
  ] as const) {
    const refused = open(path, headers);
    const [, response] = (await once(refused, "unexpected-response")) as [unknown, { statusCode: number }];
    assert.equal(response.statusCode, status, path);
    refused.on("error", () => {});
    refused.terminate();
  }
});

test("a fair upstream holds its number of requests, and a caller who goes gives the place back", async (t) => {
  const echo = await startEcho(t);
  const fair = { concurrency: 2, queue: 1, deadline_ms: 10_000 };
  const upstream = { type: "roundrobin", nodes: { [echo.node]: 1 }, fair };
  const plane = await startPlane(t, { routes: [{ id: "1", uri: "/*", upstream }] });
  const held: (() => void)[] = [];
  echo.answer = (_received, response) => void held.push(() => response.end("done"));
  const headers = { authorization: "Bearer acme:user-1" };
  const aborted = request({ host: "127.0.0.1", port: plane.port, path: "/a", headers, agent: false }).end();
  aborted.on("error", () => {});
  const answered = plane.send("/b", { as: "acme" });
  await until("two requests have arrived", () => held.length === 2);
  // one of the two may wait, the other is too much
  const more = [plane.send("/c", { as: "acme" }), plane.send("/d", { as: "acme" })];
  const refused = await Promise.race(more);
  assert.deepEqual([refused.status, refused.json()["code"]], [503, "overloaded"]);
  assert.equal(echo.received.length, 2);
  aborted.destroy();
  await until("the one that waited has the place", () => held.length === 3);
  for (const end of held) end();
  assert.equal((await answered).status, 200);
  assert.deepEqual(new Set((await Promise.all(more)).map(({ status }) => status)), new Set([200, 503]));
});

test("a plugin that changes the body sees all of it at once, however it came", async (t) => {
  const echo = await startEcho(t);
  const upstream = { type: "roundrobin", nodes: { [echo.node]: 1 } };
  const filters = [{ regex: "secret", scope: "global", replace: "***" }];
  const plane = await startPlane(t, { routes: [{ id: "1", uri: "/*", upstream, plugins: { "response-rewrite": { filters } } }] });
  echo.answer = (_received, response) => {
    response.write("a sec");
    setImmediate(() => response.end("ret and a secret"));
  };
  assert.equal((await plane.send("/x", { as: "acme" })).text, "a *** and a ***");
});
