import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Forward } from "../../src/wire/index.ts";
import { until } from "../support/until.ts";
import { bodyOf, exchangeRaw, gate, get, listenTcp, RawClient, statuses } from "./loopback.ts";
import { startEcho, startGateway } from "./proxying.ts";

const OK = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
const KEPT = "Host: a.example\r\n";
const two = `GET /1 HTTP/1.1\r\n${KEPT}\r\n${get("/2")}`;

describe("an answer of an upstream", () => {
  const invalid: Record<string, string> = {
    "that is no HTTP": "SSH-2.0-x\r\n\r\n",
    "of HTTP/2": "HTTP/2 200 OK\r\ncontent-length: 0\r\n\r\n",
    "with a status of two digits": "HTTP/1.1 20 OK\r\ncontent-length: 0\r\n\r\n",
    "with a status below 100": "HTTP/1.1 099 OK\r\ncontent-length: 0\r\n\r\n",
    "with a folded line": "HTTP/1.1 200 OK\r\nx-a: b\r\n c\r\ncontent-length: 0\r\n\r\n",
    "with a bare line feed": "HTTP/1.1 200 OK\r\nx-a: b\nx-c: d\r\ncontent-length: 0\r\n\r\n",
    "with a bare carriage return": "HTTP/1.1 200 OK\r\nx-a: b\rc\r\ncontent-length: 0\r\n\r\n",
    "with a NUL": "HTTP/1.1 200 OK\r\nx-a: b\0c\r\ncontent-length: 0\r\n\r\n",
    "with a space before a colon": "HTTP/1.1 200 OK\r\nx-a : b\r\ncontent-length: 0\r\n\r\n",
    "with a length and chunks": "HTTP/1.1 200 OK\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "with two lengths": "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nok",
    "with a list of lengths": "HTTP/1.1 200 OK\r\ncontent-length: 2, 2\r\n\r\nok",
    "with a negative length": "HTTP/1.1 200 OK\r\ncontent-length: -2\r\n\r\nok",
    "with a length beyond all numbers": "HTTP/1.1 200 OK\r\ncontent-length: 9999999999999999999\r\n\r\nok",
    "in an unknown coding": "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "in chunks over HTTP/1.0": "HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "with a head that never ends": `HTTP/1.1 200 OK\r\nx-a: ${"b".repeat(70_000)}`,
    "with too many fields": `HTTP/1.1 200 OK\r\n${"x-a: b\r\n".repeat(300)}content-length: 0\r\n\r\n`,
    "with interim answers without end": "HTTP/1.1 100 Continue\r\n\r\n".repeat(20) + OK,
  };
  for (const [what, bytes] of Object.entries(invalid)) {
    test(`${what} is none, and its connection is not used again`, async (t) => {
      const echo = await startEcho(t, () => bytes);
      const at = await startGateway(t, echo.port);
      assert.deepEqual(statuses(await exchangeRaw(at.port, two)), [502, 502]);
      assert.deepEqual(
        at.failures.map(({ kind }) => kind),
        ["invalid", "invalid"],
      );
      assert.deepEqual(at.pool.size(), { idle: 0, busy: 0 });
    });
  }

  const broken: Record<string, string> = {
    "shorter than its length": "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n12345",
    "without its last chunk": "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\n12345\r\n",
    "with a chunk that is none": "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\n12345\r\nXX\r\n",
  };
  for (const [what, bytes] of Object.entries(broken)) {
    test(`${what} never looks whole to the caller`, async (t) => {
      const echo = await startEcho(t, (_request, socket) => void socket.end(bytes, "latin1"));
      const at = await startGateway(t, echo.port);
      const client = new RawClient(at.port).send(get("/x"));
      const received = await client.closed;
      assert.ok(!received.endsWith("0\r\n\r\n"));
      assert.ok(client.broken !== undefined || received === "");
      assert.equal(at.ends[0]?.aborted, true);
    });
  }

  const passed: [what: string, bytes: string, body: RegExp][] = [
    [
      "that ends with its connection",
      "HTTP/1.1 200 OK\r\n\r\nwhole",
      /\r\ntransfer-encoding: chunked\r\n[^]*\r\n\r\n5\r\nwhole\r\n0\r\n\r\n$/,
    ],
    [
      "after interim ones, with those but 100,",
      `HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n${OK}`,
      /^HTTP\/1\.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP\/1\.1 200 OK\r\n(?!.*link)[^]*\r\n\r\nok$/,
    ],
    [
      "of status 204, whatever length it says",
      "HTTP/1.1 204 No Content\r\ncontent-length: 5\r\n\r\n",
      /^HTTP\/1\.1 204 No Content\r\n(?![^]*content-length)[^]*\r\n\r\n$/,
    ],
    ["of status 304, with its length", "HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\n\r\n", /\r\ncontent-length: 5\r\n[^]*\r\n\r\n$/],
    [
      "with chunk extensions and trailers, without them for a caller who reads none",
      "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2;a=b\r\nok\r\n0\r\nx-t: u\r\n\r\n",
      /\r\n\r\n2\r\nok\r\n0\r\n\r\n$/,
    ],
    [
      "with several cookies, each on its own line",
      "HTTP/1.1 200 OK\r\nset-cookie: a=b\r\nset-cookie: c=d\r\ncontent-length: 0\r\n\r\n",
      /\r\nset-cookie: a=b\r\nset-cookie: c=d\r\n/,
    ],
  ];
  for (const [what, bytes, expected] of passed) {
    test(`${what} is passed on`, async (t) => {
      const echo = await startEcho(t, (_request, socket) => {
        socket.write(bytes, "latin1");
        if (!/content-length|chunked|204/.test(bytes)) socket.end();
      });
      const at = await startGateway(t, echo.port);
      assert.match(await exchangeRaw(at.port, get("/x")), expected);
    });
  }

  test("to HEAD has the length and no body", async (t) => {
    const echo = await startEcho(t, () => "HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\n");
    const at = await startGateway(t, echo.port);
    const client = new RawClient(at.port).send(`HEAD /1 HTTP/1.1\r\n${KEPT}\r\n`);
    await client.until("\r\n\r\n");
    const received = await client.send(`HEAD /2 HTTP/1.1\r\n${KEPT}Connection: close\r\n\r\n`).closed;
    assert.deepEqual(statuses(received), [200, 200]);
    assert.match(received, /content-length: 7\r\n/);
    assert.equal(echo.sockets.size, 1);
  });
});

describe("a connection to an upstream", () => {
  test("with bytes behind the answer is not used again", async (t) => {
    const echo = await startEcho(
      t,
      ({ head }) => `${OK}${head.includes("/1") ? "HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\npoison" : ""}`,
    );
    const at = await startGateway(t, echo.port);
    const received = await exchangeRaw(at.port, two);
    assert.deepEqual(statuses(received), [200, 200]);
    assert.doesNotMatch(received, /poison/);
  });

  test("whose answer came before the request was complete is not used again", async (t) => {
    let connections = 0;
    const port = await listenTcp(t, (socket) => {
      connections++;
      socket.once("data", () => socket.write(OK));
    });
    const at = await startGateway(t, port);
    const client = new RawClient(at.port).send(`POST /x HTTP/1.1\r\n${KEPT}Content-Length: 10\r\n\r\n12345`);
    await client.until("\r\n\r\nok");
    client.send("67890");
    assert.match(await client.closed, /\r\nconnection: close\r\n/);
    await exchangeRaw(at.port, get("/x"));
    assert.equal(connections, 2);
  });

  test("is kept as long and as often as is said", async (t) => {
    let connections = 0;
    const echo = await startEcho(t, () => OK);
    const port = await listenTcp(t, (socket) => {
      connections++;
      socket.on("data", () => socket.write(OK));
    });
    const at = await startGateway(t, port, { change: () => ({ keepAlive: { idleMax: 1, idleMs: 20, requestsMax: 2 } }) });
    for (let i = 0; i < 4; i++) await exchangeRaw(at.port, get("/x"));
    assert.equal(connections, 2);
    await exchangeRaw(at.port, get("/x"));
    await until("the idle connection is closed", () => at.pool.size().idle === 0);
    assert.equal(echo.requests.length, 0);
  });

  test("that 10,000 callers left is not there any more", async (t) => {
    const echo = await startEcho(t, () => undefined);
    const at = await startGateway(t, echo.port);
    for (let round = 0; round < 100; round++) {
      const seen = echo.requests.length;
      const clients = Array.from({ length: 100 }, () => new RawClient(at.port).send(`GET /x HTTP/1.1\r\n${KEPT}\r\n`));
      // some are asked, some are not even connected when their caller goes
      if (round % 2 === 0) await until("a request arrived", () => echo.requests.length > seen);
      for (const client of clients) client.socket.destroy();
    }
    await until("no connection is left", () => echo.sockets.size === 0 && at.pool.size().busy === 0);
    assert.deepEqual(at.pool.size(), { idle: 0, busy: 0 });
    assert.equal(at.ends.length, at.ends.filter(({ aborted }) => aborted).length);
  });
});

describe("a try that fails", () => {
  const again = (usual: Forward, port: number): Partial<Forward> => ({
    onFailure: (failure) =>
      failure.retryable
        ? { ...usual, origin: { host: "127.0.0.1", port, tls: undefined } }
        : { status: 502, headers: {}, body: failure.kind },
  });

  async function refusingPort(): Promise<number> {
    const ended: (() => Promise<void> | void)[] = [];
    const port = await listenTcp({ after: (close) => void ended.push(close) }, () => undefined);
    for (const close of ended) await close();
    return port;
  }

  test("to connect may be made elsewhere, with the whole body", async (t) => {
    const echo = await startEcho(t);
    const at = await startGateway(t, await refusingPort(), { change: (_exchange, usual) => again(usual, echo.port) });
    assert.deepEqual(
      statuses(await exchangeRaw(at.port, `POST /x HTTP/1.1\r\n${KEPT}Connection: close\r\nContent-Length: 5\r\n\r\nhello`)),
      [200],
    );
    assert.equal(echo.requests[0]?.body, "hello");
  });

  for (const [method, status] of [
    ["PUT", 200],
    ["POST", 502],
  ] as const) {
    test(`after the request was sent may${status === 200 ? "" : " not"} be made elsewhere: ${method}`, async (t) => {
      const echo = await startEcho(t);
      const failing = await startEcho(t, (_request, socket) => void socket.destroy());
      const at = await startGateway(t, failing.port, { change: (_exchange, usual) => again(usual, echo.port) });
      const body = "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
      assert.deepEqual(statuses(await exchangeRaw(at.port, `${method} /x HTTP/1.1\r\n${KEPT}Connection: close\r\n${body}`)), [status]);
      assert.deepEqual(
        echo.requests.map((request) => request.body),
        status === 200 ? ["hello"] : [],
      );
    });
  }

  test("by an answer nobody wants may be made elsewhere", async (t) => {
    const echo = await startEcho(t);
    const failing = await startEcho(t, () => "HTTP/1.1 503 No\r\ncontent-length: 2\r\n\r\nno");
    const at = await startGateway(t, failing.port, {
      change: (_exchange, usual) => ({
        onResponse: () => ({ kind: "retry", forward: { ...usual, origin: { host: "127.0.0.1", port: echo.port, tls: undefined } } }),
      }),
    });
    assert.equal(bodyOf(await exchangeRaw(at.port, get("/x"))), "GET /x");
  });

  const limits: [what: string, kind: string, timeouts: Partial<Forward["timeouts"]>][] = [["says nothing", "read_timeout", { readMs: 20 }]];
  for (const [what, kind, timeouts] of limits) {
    test(`because the upstream ${what} is told as ${kind}`, async (t) => {
      const echo = await startEcho(t, () => undefined);
      const at = await startGateway(t, echo.port, { change: (_exchange, usual) => ({ timeouts: { ...usual.timeouts, ...timeouts } }) });
      assert.deepEqual(statuses(await exchangeRaw(at.port, get("/x"))), [504]);
      assert.equal(at.failures[0]?.kind, kind);
      assert.equal(at.failures[0]?.retryable, true);
    });
  }

  test("because the upstream takes nothing is told as send_timeout", async (t) => {
    const port = await listenTcp(t, (socket) => void socket.pause());
    const at = await startGateway(t, port, { change: (_exchange, usual) => ({ timeouts: { ...usual.timeouts, sendMs: 20 } }) });
    const length = 64 * 1024 * 1024;
    const client = new RawClient(at.port).send(`POST /x HTTP/1.1\r\n${KEPT}Content-Length: ${length}\r\n\r\n`);
    const piece = "x".repeat(64 * 1024);
    const pump = (): void => {
      while (client.socket.writable && client.socket.write(piece, "latin1"));
    };
    client.socket.on("drain", pump);
    pump();
    await until("it failed", () => at.failures.length > 0);
    assert.equal(at.failures[0]?.kind, "send_timeout");
    assert.equal(at.failures[0]?.retryable, false);
    client.socket.destroy();
  });
});

describe("what a handler makes of an answer", () => {
  const upstream = "HTTP/1.1 200 OK\r\nx-a: b\r\ncontent-length: 5\r\n\r\nhello";
  const plans: [what: string, onResponse: Forward["onResponse"], expected: RegExp][] = [
    [
      "a function of its pieces",
      (head) => ({
        kind: "map",
        status: 201,
        headers: head.headers.edit(),
        map: (piece) => (piece ? Buffer.from(piece.toString().toUpperCase()) : Buffer.from("!")),
      }),
      /^HTTP\/1\.1 201 Created\r\nx-a: b\r\n[^]*\r\n\r\n5\r\n[^]*\r\n1\r\n!\r\n0\r\n\r\n$/,
    ],
    [
      "an answer made of the whole",
      () => ({
        kind: "collect",
        bytesMax: 5,
        whole: async (body) => ({ status: 200, headers: {}, body: `<${Buffer.from(body ?? "").toString()}>` }),
      }),
      /\r\n\r\n<hello>$/,
    ],
    [
      "an answer to too much",
      () => ({ kind: "collect", bytesMax: 4, whole: (body) => ({ status: 502, headers: {}, body: String(body) }) }),
      /^HTTP\/1\.1 502 [^]*\r\n\r\nundefined$/,
    ],
    [
      "another answer",
      () => ({ kind: "replace", answer: { status: 404, headers: {}, body: "none" } }),
      /^HTTP\/1\.1 404 [^]*\r\n\r\nnone$/,
    ],
    [
      "a mistake",
      () => {
        throw new Error("a mistake");
      },
      /^HTTP\/1\.1 500 [^]*\r\n\r\ninternal$/,
    ],
    [
      "a field that would break out",
      (head) => {
        const headers = head.headers.edit();
        headers.set("x-a", "b\r\nset-cookie: c");
        return { kind: "pass", status: 200, headers };
      },
      /^HTTP\/1\.1 502 [^]*\r\n\r\nupstream_invalid$/,
    ],
  ];
  for (const [what, onResponse, expected] of plans) {
    test(`reaches the caller: ${what}`, async (t) => {
      const echo = await startEcho(t, () => upstream);
      const at = await startGateway(t, echo.port, { change: () => ({ onResponse }) });
      assert.match(await exchangeRaw(at.port, get("/x")), expected);
    });
  }
});

describe("closing a gateway", () => {
  test("loses no request that callers send on open connections", async (t) => {
    const echo = await startEcho(t);
    const at = await startGateway(t, echo.port);
    const client = new RawClient(at.port).send(`GET /1 HTTP/1.1\r\n${KEPT}\r\n`);
    await client.until("GET /1");
    const closed = at.close(60_000);
    client.send(`GET /2 HTTP/1.1\r\n${KEPT}\r\n`);
    const received = await client.closed;
    assert.deepEqual(statuses(received), [200, 200]);
    assert.match(received, /connection: close\r\n\r\nGET \/2$/);
    await closed;
  });

  test("lets the request under way end", async (t) => {
    const [asked, go] = [gate(), gate()];
    const echo = await startEcho(t, (_request, socket) => {
      asked.open();
      void go.opened.then(() => socket.write(OK));
      return undefined;
    });
    const at = await startGateway(t, echo.port);
    const client = new RawClient(at.port).send(`GET /x HTTP/1.1\r\n${KEPT}\r\n`);
    await asked.opened;
    const closed = at.close(60_000);
    go.open();
    assert.deepEqual(statuses(await client.closed), [200]);
    await closed;
  });
});
