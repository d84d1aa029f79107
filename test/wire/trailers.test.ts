import assert from "node:assert/strict";
import type { IncomingHttpHeaders, OutgoingHttpHeaders } from "node:http2";
import { describe, test } from "node:test";
import { session, TLS } from "./h2-session.ts";
import { type Ending, exchangeRaw, get, RawClient, statuses } from "./loopback.ts";
import { startEcho, startGateway } from "./proxying.ts";

const KEPT = "Host: a.example\r\n";
const HEAD = "HTTP/1.1 200 OK\r\nTrailer: x-sum, Content-Length, X-Tenant-ID\r\nTransfer-Encoding: chunked\r\n\r\n";
const BODY = "5\r\nhello\r\n0\r\n";

/** What a caller gets of an answer with these trailers. */
async function answered(ending: Ending, lines: string, request = get("/x", "TE: trailers")): Promise<string> {
  const echo = await startEcho(ending, () => `${HEAD}${BODY}${lines}\r\n`);
  const at = await startGateway(ending, echo.port);
  return exchangeRaw(at.port, request);
}

describe("trailers of an upstream", () => {
  test("reach a caller that reads them, and are announced without what is cut", async (t) => {
    const received = await answered(t, "X-Sum: 1\r\nx-sum: 2\r\nGrpc-Status: 0\r\n");
    assert.ok(received.endsWith("\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 1\r\nx-sum: 2\r\nGrpc-Status: 0\r\n\r\n"), received);
    assert.match(received, /\r\ntrailer: x-sum\r\n/);
  });

  test("do not reach one that did not say so, nor one of HTTP/1.0", async (t) => {
    for (const request of [get("/x"), get("/x", "TE: gzip"), `GET /x HTTP/1.0\r\n${KEPT}TE: trailers\r\n\r\n`]) {
      const received = await answered(t, "X-Sum: 1\r\n", request);
      assert.deepEqual(statuses(received), [200]);
      assert.doesNotMatch(received, /x-sum|trailer/i);
    }
  });

  test("are asked for at the upstream exactly when the caller reads them", async (t) => {
    const echo = await startEcho(t);
    const at = await startGateway(t, echo.port);
    for (const lines of [["TE: trailers"], ["TE: gzip;q=0.5, Trailers", "Connection: te"], ["TE: gzip"], []]) {
      await exchangeRaw(at.port, `GET /x HTTP/1.1\r\n${["Host: a.example", ...lines].join("\r\n")}\r\nConnection: close\r\n\r\n`);
    }
    const asked = echo.requests.map(({ head }) => head.endsWith("\r\nconnection: te\r\nte: trailers\r\n\r\n"));
    assert.deepEqual(asked, [true, true, false, false]);
    assert.ok(echo.requests.slice(2).every(({ head }) => !/\r\n(?:te|connection):/i.test(head)));
  });

  test("that mean something to routing, authentication, caching or content are cut, in every spelling", async (t) => {
    const cut = [
      "Connection: x-sum",
      "Host: b",
      "Location: /b",
      "Authorization: b",
      "Set-Cookie: a=b",
      "Set_Cookie: a=b",
      "WWW-Authenticate: Basic",
      "Cache-Control: public",
      "Age: 1",
      "Content-Type: text/html",
      "Content_Type: text/html",
      "Content-Encoding: gzip",
      "Content-Range: bytes 0-1/2",
      "Access-Control-Allow-Origin: *",
      "X-Accel-Redirect: /secret",
      "X-Tenant-ID: b",
      "x.tenant.id: b",
      "X-Tenant-Context: b",
      "X-Request-ID: b",
      "Trailer: a",
      "TE: trailers",
      "Upgrade: h2c",
    ];
    const received = await answered(t, `${cut.join("\r\n")}\r\nContent-Digest: sha-256=:a:\r\n`);
    assert.ok(received.endsWith("\r\n\r\n5\r\nhello\r\n0\r\nContent-Digest: sha-256=:a:\r\n\r\n"), received);
  });

  const smuggled: Record<string, string> = {
    "a length": "Content-Length: 5\r\n",
    "a transfer coding": "X-A: b\r\ntransfer-ENCODING: chunked\r\n",
    "a folded line": "X-A: b\r\n c: d\r\n",
    "a space before the colon": "X-A : b\r\n",
    "a bare line feed": "X-A: b\nX-B: c\r\n",
    "a bare carriage return": "X-A: b\rX-B: c\r\n",
    "a NUL": "X-A: b\0\r\n",
    "no colon": "X-A\r\n",
    "more fields than the bound": "X-A: b\r\n".repeat(65),
    "more bytes than the bound": `X-A: ${"b".repeat(9_000)}\r\n`,
  };
  for (const [what, lines] of Object.entries(smuggled)) {
    test(`with ${what} end the connection, and the answer never looks whole`, async (t) => {
      const echo = await startEcho(t, () => `${HEAD}${BODY}${lines}\r\nHTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\npoison`);
      const at = await startGateway(t, echo.port);
      const client = new RawClient(at.port).send(`GET /1 HTTP/1.1\r\n${KEPT}TE: trailers\r\n\r\n${get("/2")}`);
      const received = await client.closed;
      assert.doesNotMatch(received, /poison|X-A|0\r\n\r\n/);
      assert.ok(client.broken !== undefined || received === "");
      assert.deepEqual(at.pool.size(), { idle: 0, busy: 0 });
    });
  }

  test("are not there behind a body that a handler changed", async (t) => {
    const echo = await startEcho(t, () => `${HEAD}${BODY}X-Sum: 1\r\n\r\n`);
    const map = (piece: Uint8Array | undefined): Uint8Array | undefined => piece && Buffer.from("changed");
    const at = await startGateway(t, echo.port, {
      change: () => ({ onResponse: ({ status, headers }) => ({ kind: "map", status, headers: headers.edit(), map }) }),
    });
    const received = await exchangeRaw(at.port, get("/x", "TE: trailers"));
    assert.ok(received.endsWith("7\r\nchanged\r\n0\r\n\r\n"));
    assert.doesNotMatch(received, /trailer/i);
  });

  test("leave the connections in step: each answer keeps its own", async (t) => {
    let n = 0;
    const echo = await startEcho(t, () => `${HEAD}${BODY}${++n === 2 ? "" : `X-Sum: ${n}\r\n`}\r\n`);
    const at = await startGateway(t, echo.port);
    const request = `GET /x HTTP/1.1\r\n${KEPT}TE: trailers\r\n\r\n`;
    const received = await exchangeRaw(at.port, `${request}${request}${get("/x", "TE: trailers")}`);
    assert.deepEqual(
      received
        .split("0\r\n")
        .slice(1)
        .map((rest) => /^X-Sum: (\d)\r\n\r\n/.exec(rest)?.[1]),
      ["1", undefined, "3"],
    );
    assert.deepEqual(at.failures, []);
  });
});

/** The answer's fields, its body and its trailers, over HTTP/2. */
async function overHttp2(
  ending: Ending,
  lines: string,
  headers: OutgoingHttpHeaders = {},
): Promise<{ head: IncomingHttpHeaders; body: string; trailers: IncomingHttpHeaders | undefined; asked: string }> {
  const echo = await startEcho(ending, () => `${HEAD}${BODY}${lines}\r\n`);
  const at = await startGateway(ending, echo.port, { server: { tls: TLS } });
  const stream = (await session(ending, at)).request({ ":path": "/x", ...headers });
  let [head, body, trailers] = [{} as IncomingHttpHeaders, "", undefined as IncomingHttpHeaders | undefined];
  stream
    .on("response", (fields) => void (head = fields))
    .on("trailers", (fields: IncomingHttpHeaders) => void (trailers = fields))
    .setEncoding("latin1")
    .on("data", (piece: string) => void (body += piece));
  await new Promise((resolve) => void stream.once("close", resolve));
  return { head, body, trailers, asked: echo.requests[0]?.head ?? "" };
}

describe("trailers over HTTP/2", () => {
  test("are always passed on, and asked for when the caller says so", async (t) => {
    for (const te of [undefined, "trailers"]) {
      const { head, body, trailers, asked } = await overHttp2(
        t,
        "X-Sum: 1\r\nX-Tenant-ID: b\r\nSet-Cookie: a=b\r\nconstructor: c\r\n",
        te ? { te } : {},
      );
      assert.equal(body, "hello");
      assert.deepEqual(Object.entries(trailers ?? {}), [
        ["x-sum", "1"],
        ["constructor", "c"],
      ]);
      assert.equal(head["trailer"], "x-sum");
      assert.equal(asked.includes("\r\nte: trailers\r\n"), te !== undefined);
    }
  });

  test("are none when the upstream has none: the answer ends all the same", async (t) => {
    const { body, trailers } = await overHttp2(t, "");
    assert.equal(body, "hello");
    assert.equal(trailers, undefined);
  });
});

describe("trailers of a caller", () => {
  test("end here, and one that frames or hides another request is refused", async (t) => {
    const echo = await startEcho(t);
    const at = await startGateway(t, echo.port);
    const post = (lines: string): string =>
      `POST /x HTTP/1.1\r\n${KEPT}Transfer-Encoding: chunked\r\nTrailer: X-Tenant-ID\r\n\r\n${BODY}${lines}\r\n${get("/behind")}`;
    assert.deepEqual(statuses(await exchangeRaw(at.port, post("X-Tenant-ID: b\r\nAuthorization: b\r\nX-Sum: 1\r\n"))), [200, 200]);
    assert.ok(echo.requests.every(({ head, body }) => !/tenant|authorization|x-sum|trailer/i.test(head + body)));
    const before = echo.requests.length;
    for (const lines of Object.values({
      length: "Content-Length: 50\r\n",
      coding: "Transfer-Encoding: chunked\r\n",
      line: "GET /smuggled HTTP/1.1\r\n",
    })) {
      assert.deepEqual(statuses(await exchangeRaw(at.port, post(lines))), [400], lines);
    }
    assert.equal(echo.requests.length, before);
  });
});
