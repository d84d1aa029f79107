import assert from "node:assert/strict";
import { once } from "node:events";
import { describe, test } from "node:test";
import type { Answer, Exchange } from "../../src/wire/index.ts";
import { bodyOf, exchangeRaw, get, listen, OK, RawClient, statuses } from "./loopback.ts";

const echo = async (exchange: Exchange): Promise<Answer> => ({ status: 200, headers: {}, body: await exchange.readBody(10) });

describe("a body", () => {
  const head = (length: number, ...lines: string[]): string =>
    ["POST /x HTTP/1.1", "Host: a.example", `Content-Length: ${length}`, ...lines, "", ""].join("\r\n");

  test("arrives whole up to the bound, by length and in chunks", async (t) => {
    const at = await listen(t, echo);
    assert.equal(bodyOf(await exchangeRaw(at.port, `${head(10, "Connection: close")}0123456789`)), "0123456789");
    const chunks =
      "POST /x HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
    assert.equal(bodyOf(await exchangeRaw(at.port, chunks)), "abcde");
  });

  test("announced over the bound is refused and its connection closed, though the caller never sends it", async (t) => {
    const at = await listen(t, echo, { lingerMs: 1 });
    assert.deepEqual(statuses(await exchangeRaw(at.port, head(11))), [413]);
  });

  test("over the bound without an announcement is refused while it still comes in, and what follows it is not handled", async (t) => {
    const at = await listen(t, echo);
    const endless = "POST /x HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n8\r\n01234567\r\n8\r\n01234567\r\n";
    const client = new RawClient(at.port).send(endless);
    await client.until("body_too_large");
    client.send("0\r\n\r\nGET /next HTTP/1.1\r\nHost: a.example\r\n\r\n");
    assert.deepEqual(statuses(await client.closed), [413]);
    assert.deepEqual(at.handled, ["/x"]);
  });

  test("that nobody reads does not cost the caller its answer: the connection ends without a reset", async (t) => {
    const at = await listen(t, undefined, { lingerMs: 60_000 });
    const client = new RawClient(at.port).send(`${head(100_000)}0123456789`);
    await client.until("\r\n\r\nok");
    // time enough for an end to arrive
    await exchangeRaw(at.port, get("/x"));
    assert.equal(client.socket.readableEnded, false);
    client.send("x".repeat(99_990));
    assert.deepEqual(statuses(await client.closed), [200]);
    assert.equal(client.broken, undefined);
  });

  test("that nobody reads is not drained for ever", async (t) => {
    const at = await listen(t, undefined, { lingerBytesMax: 100_000 });
    const client = new RawClient(at.port).send(head(1_000_000_000));
    const piece = "x".repeat(10_000);
    const pump = (): void => {
      while (client.socket.write(piece));
    };
    client.socket.on("drain", pump);
    pump();
    await client.closed;
    assert.ok(client.socket.bytesWritten < 100_000_000);
  });

  test("cut short is malformed", async (t) => {
    const told = Promise.withResolvers<unknown>();
    const at = await listen(t, async (exchange) => {
      told.resolve(await exchange.readBody(10).catch((error: unknown) => error));
      return OK;
    });
    const client = new RawClient(at.port).send(`${head(10)}012`);
    await once(client.socket, "connect");
    client.socket.destroySoon();
    assert.equal(((await told.promise) as { code?: string }).code, "malformed_request");
  });

  test("in a content coding is refused", async (t) => {
    const at = await listen(t, echo, { lingerMs: 1 });
    assert.deepEqual(statuses(await exchangeRaw(at.port, `${head(3, "Content-Encoding: gzip", "Connection: close")}abc`)), [415]);
  });

  test("held back with Expect is asked for only when the handler reads it", async (t) => {
    const at = await listen(t, (exchange) =>
      exchange.head.target.path === "/read" ? echo(exchange) : { status: 403, headers: {}, body: "no" },
    );
    const expecting = (path: string): string =>
      `POST ${path} HTTP/1.1\r\nHost: a.example\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n`;
    const reader = new RawClient(at.port).send(expecting("/read"));
    await reader.until("HTTP/1.1 100 Continue\r\n\r\n");
    reader.send("abc");
    await reader.until("\r\n\r\nabc");
    reader.socket.destroy();
    assert.deepEqual(statuses(await exchangeRaw(at.port, expecting("/refuse"))), [403]);
  });
});
