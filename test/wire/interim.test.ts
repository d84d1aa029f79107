import assert from "node:assert/strict";
import type { IncomingHttpHeaders } from "node:http2";
import { describe, test } from "node:test";
import { session, TLS } from "./h2-session.ts";
import { bodyOf, exchangeRaw, gate, get, RawClient, statuses } from "./loopback.ts";
import { startEcho, startGateway } from "./proxying.ts";

const KEPT = "Host: a.example\r\n";
const OK = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
const HINTS = "HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\nlink: </b.css>; rel=preload\r\n\r\n";

describe("an interim answer of an upstream", () => {
  test("goes on before the final one, as soon as it is here", async (t) => {
    const go = gate();
    const echo = await startEcho(t, (_request, socket) => {
      socket.write(`HTTP/1.1 102 Processing\r\n\r\n${HINTS}`);
      void go.opened.then(() => socket.write(OK));
      return undefined;
    });
    const at = await startGateway(t, echo.port);
    const client = new RawClient(at.port).send(get("/x"));
    await client.until("</b.css>; rel=preload\r\n\r\n");
    assert.equal(client.received, `HTTP/1.1 102 Processing\r\n\r\n${HINTS}`);
    go.open();
    assert.deepEqual(statuses(await client.closed), [102, 103, 200]);
  });

  test("stays with its request though others are under way on the connection", async (t) => {
    const echo = await startEcho(t, ({ head }) => `HTTP/1.1 103 Early Hints\r\nlink: <${head.slice(4, 6)}>\r\n\r\n${OK}`);
    const first = gate();
    const at = await startGateway(t, echo.port, {
      async change({ head }) {
        if (head.target.path === "/1") await first.opened;
        return {};
      },
    });
    const client = new RawClient(at.port).send(`GET /1 HTTP/1.1\r\n${KEPT}\r\nGET /2 HTTP/1.1\r\n${KEPT}\r\n${get("/3")}`);
    await exchangeRaw(at.port, get("/9")); // the others could be answered by now
    assert.equal(client.received, "");
    first.open();
    const received = await client.closed;
    assert.deepEqual(statuses(received), [103, 200, 103, 200, 103, 200]);
    assert.deepEqual(
      [...received.matchAll(/link: <(\/\d)>/g)].map((match) => match[1]),
      ["/1", "/2", "/3"],
    );
  });

  test("brings nothing that belongs to the connection, to the gateway or to a decision about the final head", async (t) => {
    const lines = [
      "Connection: x-gone",
      "X-Gone: 1",
      "Keep-Alive: x",
      "Content-Length: 5",
      "X-Tenant-ID: b",
      "X_Tenant_ID: b",
      "X-Request-ID: b",
      "Set-Cookie: a=b",
      "WWW-Authenticate: Basic",
      "Access-Control-Allow-Origin: *",
      "X-Accel-Redirect: /secret",
    ];
    const echo = await startEcho(t, () => `HTTP/1.1 103 Early Hints\r\n${lines.join("\r\n")}\r\nlink: <a>\r\n\r\n${OK}`);
    const at = await startGateway(t, echo.port);
    assert.match(await exchangeRaw(at.port, get("/x")), /^HTTP\/1\.1 103 Early Hints\r\nlink: <a>\r\n\r\nHTTP\/1\.1 200 OK\r\n/);
  });

  test("of status 100 ends here, since Expect does", async (t) => {
    const echo = await startEcho(t, () => `HTTP/1.1 100 Continue\r\n\r\n${OK}`);
    const at = await startGateway(t, echo.port);
    assert.deepEqual(statuses(await exchangeRaw(at.port, get("/x"))), [200]);
  });

  test("is not sent to a caller of HTTP/1.0", async (t) => {
    const echo = await startEcho(t, () => HINTS + OK);
    const at = await startGateway(t, echo.port);
    const received = await exchangeRaw(at.port, `GET /x HTTP/1.0\r\n${KEPT}\r\n`);
    assert.deepEqual(statuses(received), [200]);
    assert.equal(bodyOf(received), "ok");
  });

  test("changes nothing of a failure that follows it", async (t) => {
    const echo = await startEcho(t, (_request, socket) => void socket.end(HINTS));
    const at = await startGateway(t, echo.port);
    assert.deepEqual(statuses(await exchangeRaw(at.port, get("/x"))), [103, 502]);
  });

  const endless: Record<string, string> = {
    number: "HTTP/1.1 102 Processing\r\n\r\n".repeat(9),
    size: `HTTP/1.1 103 Early Hints\r\nlink: ${"a".repeat(40_000)}\r\n\r\n`.repeat(2),
  };
  for (const [what, bytes] of Object.entries(endless)) {
    test(`is bounded in ${what}: beyond that the upstream has failed`, async (t) => {
      const echo = await startEcho(t, () => bytes + OK);
      const at = await startGateway(t, echo.port);
      assert.equal(statuses(await exchangeRaw(at.port, get("/x"))).at(-1), 502);
      assert.equal(at.failures[0]?.kind, "invalid");
    });
  }

  test("reaches a caller over HTTP/2 as well, in order and without what does not belong there", async (t) => {
    const hints = `HTTP/1.1 103 Early Hints\r\nLink: <a>\r\nlink: <b>\r\nconstructor: c\r\nSet-Cookie: a=b\r\n\r\n`;
    const echo = await startEcho(t, () => `HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n${hints}${OK}`);
    const at = await startGateway(t, echo.port, { server: { tls: TLS } });
    const stream = (await session(t, at)).request({ ":path": "/x" });
    const seen: Record<string, unknown>[] = [];
    const see = (headers: IncomingHttpHeaders): void => void seen.push({ ...headers });
    stream.on("headers", see).on("response", see).resume();
    await new Promise((resolve) => void stream.once("close", resolve));
    assert.deepEqual(
      seen.map((headers) => headers[":status"]),
      [102, 103, 200],
    );
    assert.equal(seen[1]?.["link"], "<a>, <b>");
    assert.equal(seen[1]?.["set-cookie"], undefined);
  });

  test("with a field that HTTP/2 can have only once is lost there, and the final one comes", async (t) => {
    const echo = await startEcho(t, () => `HTTP/1.1 103 Early Hints\r\netag: a\r\netag: b\r\n\r\n${OK}`);
    const at = await startGateway(t, echo.port, { server: { tls: TLS } });
    const stream = (await session(t, at)).request({ ":path": "/x" });
    const seen: unknown[] = [];
    const see = (headers: IncomingHttpHeaders & { ":status"?: number }): void => void seen.push(headers[":status"]);
    stream.on("headers", see).on("response", see).resume();
    await new Promise((resolve) => void stream.once("close", resolve));
    assert.deepEqual(seen, [200]);
  });
});
