import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import fc from "fast-check";
import { exchangeRaw, get, listen, OK, RawClient, statuses, type TestServer } from "./loopback.ts";

const SMUGGLED = "GET /smuggled HTTP/1.1\r\nHost: a.example\r\n\r\n";

describe("a request that two readers could read differently", () => {
  let at: TestServer;
  before(async () => {
    at = await listen({ after: () => undefined });
  });
  after(() => at.server.close(0));

  const post = (...lines: string[]): string => ["POST /x HTTP/1.1", "Host: a.example", ...lines, "", ""].join("\r\n");
  const twice = (field: string): string => get("/x", field, field.toLowerCase());
  const cases: Record<string, string> = {
    "a second Host": get("/x", "Host: b.example"),
    "no Host": "GET /x HTTP/1.1\r\n\r\n",
    "an empty Host": "GET /x HTTP/1.1\r\nHost:\r\n\r\n",
    "a Host with a user": "GET /x HTTP/1.1\r\nHost: a@b\r\n\r\n",
    "a Host with a space": "GET /x HTTP/1.1\r\nHost: go od\r\n\r\n",
    "a Host with an impossible port": "GET /x HTTP/1.1\r\nHost: a:99999\r\n\r\n",
    "a Host with a fragment": "GET /x HTTP/1.1\r\nHost: api/#\r\n\r\n",
    "a Host with a query": "GET /x HTTP/1.1\r\nHost: api/?\r\n\r\n",
    "two Authorization": twice("Authorization: Bearer a"),
    "two X-Tenant-ID": twice("X-Tenant-ID: a"),
    "two x-api-key": twice("X-Api-Key: a"),
    "two api-key": twice("Api-Key: a"),
    "two Cookie": twice("Cookie: a=b"),
    "two Content-Type": twice("Content-Type: text/plain"),
    "two Content-Length": `${post("Content-Length: 1", "Content-Length: 1")}x`,
    "two Transfer-Encoding": `${post("Transfer-Encoding: chunked", "Transfer-Encoding: chunked")}0\r\n\r\n`,
    "Content-Length and Transfer-Encoding": `${post("Content-Length: 5", "Transfer-Encoding: chunked")}0\r\n\r\n`,
    "a look-alike of Content-Length": `${post("Content_Length: 5")}hello`,
    "a look-alike of Transfer-Encoding": `${post("Transfer_Encoding: chunked")}0\r\n\r\n`,
    "a signed Content-Length": `${post("Content-Length: +5")}hello`,
    "a transfer coding in HTTP/1.0": "POST /x HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a tab behind the transfer coding": `${post("Transfer-Encoding: chunked\t")}0\r\n\r\n`,
    "another transfer coding before chunked": `${post("Transfer-Encoding: gzip, chunked")}0\r\n\r\n`,
    "another transfer coding behind chunked": `${post("Transfer-Encoding: chunked, identity")}0\r\n\r\n`,
    "a tab before the length": `${post("Content-Length:\t5")}hello`,
    "a space before the colon": get("/x", "X-Tenant-ID : b"),
    "a folded line": get("/x", "X-A: b", " c: d"),
    "a bare line feed": "GET /x HTTP/1.1\nHost: a.example\n\n",
    "an expectation it does not know": get("/x", "Expect: 200-maybe"),
    "absolute form": get("http://b.example/x"),
    "a fragment": get("/x#y"),
    "a dot segment": get("/a/../b"),
    "the asterisk": "OPTIONS * HTTP/1.1\r\nHost: a.example\r\n\r\n",
    "another protocol": "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "no protocol": "\u0016\u0003\u0001\u0002\u0000\u0001",
    "an invented method": "FETCH /x HTTP/1.1\r\nHost: a.example\r\n\r\n",
  };
  for (const [what, text] of Object.entries(cases)) {
    test(`is refused and its connection closed before the handler runs: ${what}`, async () => {
      const seen = at.handled.length;
      assert.deepEqual(statuses(await exchangeRaw(at.port, text + SMUGGLED)), [400]);
      assert.equal(at.handled.length, seen);
    });
  }

  for (const method of ["TRACE", "PROPFIND"]) {
    test(`is refused with the methods there are: ${method}`, async () => {
      const answer = await exchangeRaw(at.port, `${method} /x HTTP/1.1\r\nHost: a.example\r\n\r\n${SMUGGLED}`);
      assert.deepEqual(statuses(answer), [405]);
      assert.match(answer, /\r\nallow: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS\r\n/i);
    });
  }

  test("is refused: CONNECT", async () => {
    assert.deepEqual(statuses(await exchangeRaw(at.port, "CONNECT b.example:443 HTTP/1.1\r\nHost: b.example:443\r\n\r\n")), [405]);
  });

  test("is refused with too many header fields, not cut down to fewer", async () => {
    const seen = at.handled.length;
    const lines = Array.from({ length: 101 }, (_, i) => `x-${i}: y`);
    assert.deepEqual(statuses(await exchangeRaw(at.port, get("/x", ...lines))), [400]);
    assert.equal(at.handled.length, seen);
  });

  test("is refused with header fields that are too large", async () => {
    assert.deepEqual(statuses(await exchangeRaw(at.port, get("/x", `x: ${"y".repeat(17_000)}`))), [400]);
    assert.equal(at.refused.at(-1)?.public.detail, "The header fields are too large.");
  });
});

describe("a request on the wire", () => {
  const file = new URL("../vectors/smuggling-te-mutations.json", import.meta.url);
  const { vectors } = JSON.parse(readFileSync(file, "utf8")) as { vectors: { id: string; header: string }[] };

  test(`never becomes two: ${vectors.length} spellings of Transfer-Encoding`, async (t) => {
    const at = await listen(t, async (exchange) => ({ status: 200, headers: {}, body: await exchange.readBody(1_000) }));
    // read by length the body holds a request; read as chunks the request stands behind it
    for (const { id, header } of vectors) {
      const body = `0\r\n\r\n${SMUGGLED}`;
      await exchangeRaw(
        at.port,
        `POST /x HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\nContent-Length: ${body.length}\r\n${header}\r\n\r\n${body}`,
      );
      assert.ok(!at.handled.includes("/smuggled"), id);
    }
  });

  test("never becomes two, whatever is put around and into it", async (t) => {
    const at = await listen(t, async (exchange) => ({ status: 200, headers: {}, body: await exchange.readBody(1_000) }));
    const seed = Date.now();
    t.diagnostic(`seed ${seed}`);
    const line = fc.constantFrom(
      "Content-Length: 4",
      "Content-Length: 44",
      "Transfer-Encoding: chunked",
      "X: y",
      " folded",
      "Expect: 100-continue",
    );
    const end = fc.constantFrom("\r\n", "\n", "\r");
    await fc.assert(
      fc.asyncProperty(fc.array(fc.tuple(line, end), { maxLength: 4 }), async (lines) => {
        const head = `POST /x HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n${lines.map((pair) => pair.join("")).join("")}\r\n`;
        const client = new RawClient(at.port).send(`${head}0\r\n\r\n${SMUGGLED}`);
        client.socket.end();
        await client.closed;
        assert.ok(!at.handled.includes("/smuggled"));
      }),
      { seed, numRuns: 150 },
    );
  });

  test("that breaks while its body is read is refused once, and its handler is told", async (t) => {
    const told = Promise.withResolvers<unknown>();
    const at = await listen(t, async (exchange) => {
      told.resolve(await exchange.readBody(1_000).catch((error: unknown) => error));
      return OK;
    });
    const answer = await exchangeRaw(
      at.port,
      "POST /x HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nZZ\r\n",
    );
    assert.deepEqual(statuses(answer), [400]);
    assert.equal(((await told.promise) as { code?: string }).code, "malformed_request");
  });

  test("that is not complete in time is refused", async (t) => {
    const at = await listen(t, undefined, { headersTimeoutMs: 20, requestTimeoutMs: 20 });
    assert.deepEqual(statuses(await exchangeRaw(at.port, "GET /x HTTP/1.1\r\nHost: a.example\r\n")), [400]);
    assert.equal(at.handled.length, 0);
  });
});
