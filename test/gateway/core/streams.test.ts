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

for (const profile of ["strict", "apisix"] as const) {
  test(`a change of protocol goes on where the route or its service says so, the route first, and nowhere else (${profile})`, async (t) => {
    const sockets = { type: "roundrobin", nodes: { [await startSockets(t)]: 1 } };
    const echo = await startEcho(t);
    const plain = { type: "roundrobin", nodes: { [echo.node]: 1 } };
    const plane = await startPlane(
      t,
      {
        services: [{ id: "s", enable_websocket: true, upstream: sockets }],
        routes: [
          { id: "by-service", uri: "/by-service", service_id: "s" },
          { id: "off", uri: "/off", service_id: "s", enable_websocket: false, upstream: plain },
          { id: "silent", uri: "/silent", upstream: plain },
        ],
      },
      { profile },
    );
    const headers = { authorization: "Bearer acme:user-1" };
    const open = (path: string): WebSocket => new WebSocket(`ws://127.0.0.1:${plane.port}${path}`, ["chat"], { headers });
    const socket = open("/by-service");
    await once(socket, "open");
    assert.equal(socket.protocol, "chat");
    socket.close();
    for (const path of ["/off", "/silent"]) {
      const refused = open(path);
      const [, response] = (await once(refused, "unexpected-response")) as [unknown, { statusCode: number }];
      assert.equal(response.statusCode, 200, "an ordinary answer to an ordinary request");
      refused.on("error", () => {});
      refused.terminate();
      const { upgrade, connection = "" } = echo.received.at(-1)?.headers ?? {};
      assert.deepEqual([upgrade, /upgrade/i.test(connection)], [undefined, false]);
    }
  });

  test(`what follows a change of protocol that is refused is a request of its own, proved for itself, and no bytes for the upstream (${profile})`, async (t) => {
    const echo = await startEcho(t);
    const upstream = { type: "roundrobin", nodes: { [echo.node]: 1 } };
    const routes = [{ id: "on", uri: "/*", enable_websocket: true, upstream, plugins: { "tenant-resolver": { required: true } } }];
    const plane = await startPlane(t, { routes }, { profile });
    const hidden = "GET /hidden HTTP/1.1\r\nHost: x.example\r\n\r\n";
    for (const status of [200, 400, 426, 502]) {
      echo.answer = (_received, response) => void response.writeHead(status, { "content-length": 2 }).end("no");
      const answers = await plane.raw(
        "GET /socket HTTP/1.1\r\nHost: x.example\r\nAuthorization: Bearer acme:user-1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
          `Sec-WebSocket-Version: 777\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n${hidden}${hidden.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n")}`,
      );
      assert.ok(answers.startsWith(`HTTP/1.1 ${status} `), answers.slice(0, 200));
      const later = [...answers.matchAll(/HTTP\/1\.1 (\d+) /g)].slice(1).map(([, code]) => code);
      assert.ok(
        later.every((code) => code === "401"),
        later.join(),
      );
      assert.deepEqual(new Set(echo.received.map(({ target }) => target)), new Set(["/socket"]));
    }
  });
}

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
