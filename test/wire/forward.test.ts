import assert from "node:assert/strict";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { until } from "../support/until.ts";
import { bodyOf, exchangeRaw, gate, get, listenTcp, RawClient, statuses } from "./loopback.ts";
import { startEcho, startGateway } from "./proxying.ts";

const KEPT = "Host: a.example\r\n";

describe("a request sent on", () => {
  test("reaches the upstream with its target byte for byte, its fields in order, and without what belongs to the connection", async (t) => {
    const echo = await startEcho(t);
    const at = await startGateway(t, echo.port, { server: { targets: "lenient" } });
    const target = "/a//b/../%2f;x?y=%zz&{}";
    const lines = ["X-B:  two  words ", "Connection: x-gone, close", "X-Gone: 1", "TE: gzip, trailers", "Keep-Alive: x", "x-b: again"];
    const received = await exchangeRaw(at.port, get(target, ...lines));
    assert.equal(bodyOf(received), `GET ${target}`);
    assert.equal(
      echo.requests[0]?.head,
      `GET ${target} HTTP/1.1\r\nHost: a.example\r\nX-B:  two  words \r\nx-b: again\r\nconnection: te\r\nte: trailers\r\n\r\n`,
    );
  });

  test("keeps its body, by length and in chunks, and chunk extensions and trailers end here", async (t) => {
    const echo = await startEcho(t);
    const at = await startGateway(t, echo.port);
    const head = `POST /x HTTP/1.1\r\n${KEPT}`;
    const chunks = "3;a=b\r\nabc\r\n2\r\nde\r\n0\r\nX-Tenant-ID: b\r\n\r\n";
    const both = `${head}Content-Length: 5\r\n\r\nhello${head}Transfer-Encoding: chunked\r\n\r\n${chunks}${get("/end")}`;
    assert.deepEqual(statuses(await exchangeRaw(at.port, both)), [200, 200, 200]);
    assert.deepEqual(
      echo.requests.map(({ body }) => body),
      ["hello", "abcde", ""],
    );
    assert.ok(echo.requests.every(({ head: sent }) => !/trailer|tenant|;/i.test(sent)));
  });

  test("arrives though it comes byte by byte", async (t) => {
    const echo = await startEcho(t);
    const at = await startGateway(t, echo.port);
    const client = new RawClient(at.port);
    client.socket.setNoDelay(true);
    const text = `POST /x HTTP/1.1\r\n${KEPT}Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n5\r\nhello\r\n0\r\n\r\n`;
    for (const byte of text) {
      client.send(byte);
      await new Promise((resolve) => void setImmediate(resolve));
    }
    assert.deepEqual(statuses(await client.closed), [200]);
    assert.equal(echo.requests[0]?.body, "hello");
  });

  test("carries a large body both ways without a change", async (t) => {
    const echo = await startEcho(t, ({ body }) => `HTTP/1.1 200 OK\r\ncontent-length: ${body.length}\r\n\r\n${body}`);
    const at = await startGateway(t, echo.port);
    const body = Array.from({ length: 60_000 }, (_, i) => `line ${i};`).join("");
    const answer = await exchangeRaw(
      at.port,
      `POST /x HTTP/1.1\r\n${KEPT}Connection: close\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
    );
    assert.ok(bodyOf(answer) === body);
    assert.deepEqual([at.ends[0]?.bytesIn, at.ends[0]?.bytesOut, at.ends[0]?.aborted], [body.length, body.length, false]);
  });

  test("with Expect is told to go on once there is somewhere to send it, and the field stays here", async (t) => {
    const echo = await startEcho(t);
    const at = await startGateway(t, echo.port);
    const client = new RawClient(at.port).send(
      `POST /x HTTP/1.1\r\n${KEPT}Content-Length: 3\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n`,
    );
    await client.until("HTTP/1.1 100 Continue\r\n\r\n");
    client.send("abc");
    assert.deepEqual(statuses(await client.closed), [100, 200]);
    assert.doesNotMatch(echo.requests[0]?.head ?? "", /expect/i);
  });

  test("uses one connection for one caller after the other, never for another owner", async (t) => {
    const echo = await startEcho(t);
    const at = await startGateway(t, echo.port, { change: ({ head }) => ({ owner: head.headers.one("x-owner") ?? "" }) });
    for (const owner of ["a", "a", "b", "a"]) await exchangeRaw(at.port, get("/x", `X-Owner: ${owner}`));
    assert.equal(echo.sockets.size, 2);
    assert.deepEqual(at.pool.size(), { idle: 2, busy: 0 });
  });

  test("over HTTP/1.0 gets an answer without chunks that ends with the connection", async (t) => {
    const echo = await startEcho(t, () => "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n");
    const at = await startGateway(t, echo.port);
    const received = await exchangeRaw(at.port, `GET /x HTTP/1.0\r\n${KEPT}\r\n`);
    assert.equal(bodyOf(received), "abc");
    assert.doesNotMatch(received, /transfer-encoding/i);
  });

  test("whose caller goes away ends at the upstream as well", async (t) => {
    const asked = gate();
    const echo = await startEcho(t, () => {
      asked.open();
      return undefined;
    });
    const at = await startGateway(t, echo.port);
    const client = new RawClient(at.port).send(`GET /x HTTP/1.1\r\n${KEPT}\r\n`);
    await asked.opened;
    client.socket.destroy();
    await until("the upstream sees the end", () => echo.sockets.size === 0);
    assert.deepEqual(at.pool.size(), { idle: 0, busy: 0 });
    assert.deepEqual(at.ends, [{ status: 0, aborted: true, bytesIn: 0, bytesOut: 0 }]);
  });

  test("that breaks in its body is refused and never complete at the upstream", async (t) => {
    const echo = await startEcho(t);
    const at = await startGateway(t, echo.port);
    const text = `POST /x HTTP/1.1\r\n${KEPT}Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nZZ\r\n${get("/smuggled")}`;
    assert.deepEqual(statuses(await exchangeRaw(at.port, text)), [400]);
    assert.deepEqual(echo.requests, []);
    assert.deepEqual(at.pool.size(), { idle: 0, busy: 0 });
  });
});

describe("a request on the wire", () => {
  const file = new URL("../vectors/smuggling-te-mutations.json", import.meta.url);
  const { vectors } = JSON.parse(readFileSync(file, "utf8")) as { vectors: { id: string; header: string }[] };

  test(`is one request to the upstream for each answer: ${vectors.length} spellings of Transfer-Encoding`, async (t) => {
    const echo = await startEcho(t);
    const at = await startGateway(t, echo.port);
    const smuggled = `GET /smuggled HTTP/1.1\r\n${KEPT}\r\n`;
    for (const { id, header } of vectors) {
      const [body, before] = [`0\r\n\r\n${smuggled}`, echo.requests.length];
      const text = `POST /x HTTP/1.1\r\n${KEPT}Connection: close\r\nContent-Length: ${body.length}\r\n${header}\r\n\r\n${body}`;
      const answered = statuses(await exchangeRaw(at.port, text)).filter((status) => status === 200).length;
      assert.equal(echo.requests.length - before, answered, id);
    }
    assert.deepEqual(echo.garbage, []);
    assert.ok(echo.requests.every(({ head }) => !head.includes("smuggled")));
  });

  test("answers in order though later ones are ready first", async (t) => {
    const first = gate();
    const echo = await startEcho(t);
    const at = await startGateway(t, echo.port, {
      async change({ head }) {
        if (head.target.path === "/1") await first.opened;
        return {};
      },
    });
    const client = new RawClient(at.port).send(`GET /1 HTTP/1.1\r\n${KEPT}\r\nGET /2 HTTP/1.1\r\n${KEPT}\r\n${get("/3")}`);
    await exchangeRaw(at.port, get("/other"));
    first.open();
    assert.deepEqual(
      [...(await client.closed).matchAll(/GET (\/\d)/g)].map((match) => match[1]),
      ["/1", "/2", "/3"],
    );
  });
});

describe("joined connections after a change of protocol", () => {
  const upgrade = (...more: string[]): string =>
    ["GET /x HTTP/1.1", "Host: a.example", "Upgrade: websocket", "Connection: Upgrade", ...more, "", ""].join("\r\n");
  const SWITCHED = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\nx-a: b\r\n\r\n";

  test("carry what was sent ahead and all that follows, both ways", async (t) => {
    const port = await listenTcp(t, (socket) => {
      socket.once("data", (head) => {
        assert.match(head.toString(), /\r\nconnection: upgrade\r\nupgrade: websocket\r\n/i);
        socket.write(`${SWITCHED}ready `);
        socket.on("data", (bytes) => socket.write(bytes.toString().toUpperCase()));
      });
    });
    const at = await startGateway(t, port);
    const client = new RawClient(at.port).send(upgrade("X-A: b"));
    await client.until("ready ");
    assert.match(client.received, /^HTTP\/1\.1 101 Switching Protocols\r\nx-a: b\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n/);
    client.send("hello");
    await client.until("HELLO");
    client.socket.end();
    await client.closed;
    await until("the exchange ends", () => at.ends.length === 1);
    assert.equal(at.ends[0]?.status, 101);
    assert.deepEqual(at.pool.size(), { idle: 0, busy: 0 });
  });

  test("pass on the end of one direction while the other goes on", async (t) => {
    const port = await listenTcp(t, (socket) => {
      socket.once("data", () => socket.write(SWITCHED));
    });
    const at = await startGateway(t, port);
    const client = new RawClient(at.port);
    client.socket.allowHalfOpen = true;
    client.send(upgrade());
    await client.until("\r\n\r\n");
    client.socket.end("last");
    await client.closed;
  });

  test("take no faster than the other side does", async (t) => {
    let written = 0;
    const port = await listenTcp(t, (socket) => {
      socket.once("data", () => {
        socket.write(SWITCHED);
        const piece = Buffer.alloc(256 * 1024);
        const pump = (): void => {
          while (written < 400 * 1024 * 1024 && socket.write(piece)) written += piece.length;
        };
        socket.on("drain", pump);
        pump();
      });
    });
    const at = await startGateway(t, port);
    const client = new RawClient(at.port).send(upgrade());
    await once(client.socket, "data");
    client.socket.pause();
    let before = -1;
    // it stops by itself: nothing moves while other requests are answered
    await until("nothing moves", async () => {
      const still = written === before;
      before = written;
      for (let i = 0; i < 20; i++) await exchangeRaw(at.port, "\0");
      return still;
    });
    assert.ok(written < 100 * 1024 * 1024, `${written}`);
    client.socket.destroy();
  });

  test("are not made when nobody asked: a 101 to an ordinary request is no answer", async (t) => {
    const echo = await startEcho(t, () => SWITCHED);
    const at = await startGateway(t, echo.port);
    assert.deepEqual(statuses(await exchangeRaw(at.port, get("/x"))), [502]);
    assert.equal(at.failures[0]?.kind, "invalid");
  });

  test("are not made when the upstream refuses: its answer is passed on", async (t) => {
    const echo = await startEcho(t, () => "HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\nno");
    const at = await startGateway(t, echo.port);
    const received = await exchangeRaw(at.port, upgrade());
    assert.deepEqual(statuses(received), [403]);
    assert.ok(received.endsWith("connection: close\r\n\r\nno"));
  });
});
