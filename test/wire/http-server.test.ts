import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Exchange } from "../../src/wire/index.ts";
import { bodyOf, exchangeRaw, gate, get, listen, OK, RawClient, statuses } from "./loopback.ts";

describe("a request head", () => {
  test("reaches the handler as it was sent, with the host in lower case", async (t) => {
    const heads: Exchange["head"][] = [];
    const at = await listen(t, ({ head }) => {
      heads.push(head);
      return OK;
    });
    await exchangeRaw(at.port, "PATCH /a/b?c=%2F HTTP/1.1\r\nHoSt: A.Example:80\r\nX-A: 1\r\nx-a: 2\r\nConnection: close\r\n\r\n");
    const [head] = heads;
    assert.ok(head);
    assert.equal(head.method, "PATCH");
    assert.deepEqual(head.target.segments, ["a", "b"]);
    assert.equal(head.host, "a.example");
    assert.equal(head.remoteAddress, "127.0.0.1");
    assert.deepEqual(head.headers.all("X-A"), ["1", "2"]);
  });

  test("of HTTP/1.0 may come without Host", async (t) => {
    const at = await listen(t, ({ head }) => ({ status: 200, headers: {}, body: String(head.host) }));
    assert.equal(bodyOf(await exchangeRaw(at.port, "GET /x HTTP/1.0\r\n\r\n")), "undefined");
  });

  test("takes nothing from trailers", async (t) => {
    let tenants: readonly string[] = ["unset"];
    const at = await listen(t, async (exchange) => {
      await exchange.readBody(10);
      tenants = exchange.head.headers.all("x-tenant-id");
      return OK;
    });
    const chunked =
      "POST /x HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\nTransfer-Encoding: chunked\r\nTrailer: X-Tenant-ID\r\n\r\n";
    await exchangeRaw(at.port, `${chunked}0\r\nX-Tenant-ID: b\r\n\r\n`);
    assert.deepEqual(tenants, []);
  });
});

describe("an answer", () => {
  test("of bytes has its length, and nothing that tells what serves it", async (t) => {
    const at = await listen(t, () => ({
      status: 200,
      headers: { "x-a": "b", "content-length": "99", connection: "keep-alive" },
      body: "caf\u00e9",
    }));
    const received = await exchangeRaw(at.port, get("/x"));
    assert.match(received, /\r\ncontent-length: 5\r\n/i);
    assert.match(received, /\r\nx-a: b\r\n/);
    assert.doesNotMatch(received, /\r\n(?:server|x-powered-by):/i);
  });

  test("keeps its connection, so that the next request is answered there", async (t) => {
    const at = await listen(t, ({ head }) => ({ status: 200, headers: {}, body: head.target.path }));
    const received = await exchangeRaw(at.port, `GET /1 HTTP/1.1\r\nHost: a.example\r\n\r\n${get("/2")}`);
    assert.deepEqual(statuses(received), [200, 200]);
    assert.ok(received.indexOf("/1") < received.indexOf("/2"));
  });

  test("to HEAD has the length and no body", async (t) => {
    const at = await listen(t, () => OK);
    const received = await exchangeRaw(at.port, "HEAD /x HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n");
    assert.match(received, /\r\ncontent-length: 2\r\n/i);
    assert.equal(bodyOf(received), "");
  });

  for (const status of [204, 304]) {
    test(`with status ${status} has no body`, async (t) => {
      const at = await listen(t, () => ({ status, headers: {}, body: "x" }));
      assert.equal(bodyOf(await exchangeRaw(at.port, get("/x"))), "");
    });
  }

  for (const value of ["a\r\nset-cookie: b=c", "a\nb", "a\0b"]) {
    test(`with ${JSON.stringify(value)} in a field becomes an error and not a second field`, async (t) => {
      const at = await listen(t, () => ({ status: 200, headers: { "x-a": value }, body: "secret" }));
      const received = await exchangeRaw(at.port, get("/x"));
      assert.deepEqual(statuses(received), [500]);
      assert.doesNotMatch(received, /set-cookie|secret/);
    });
  }

  test("that streams arrives piece by piece and ends properly", async (t) => {
    const next = gate();
    const at = await listen(t, () => ({
      status: 200,
      headers: { "content-type": "text/event-stream" },
      body: (async function* () {
        yield "first";
        yield "";
        await next.opened;
        yield Buffer.from("second");
      })(),
    }));
    const client = new RawClient(at.port).send(get("/x"));
    await client.until("first");
    assert.ok(!client.received.includes("second"));
    next.open();
    assert.ok((await client.closed).endsWith("5\r\nfirst\r\n6\r\nsecond\r\n0\r\n\r\n"));
  });

  test("that streams and fails never looks whole", async (t) => {
    const at = await listen(t, () => ({
      status: 200,
      headers: {},
      body: (async function* () {
        yield "first";
        throw new Error("the upstream broke");
      })(),
    }));
    const received = await exchangeRaw(at.port, get("/x"));
    assert.ok(!received.endsWith("0\r\n\r\n"));
    assert.doesNotMatch(received, /the upstream broke/);
  });

  test("is made no faster than the caller takes it, and stops when the caller goes", async (t) => {
    const released = gate();
    let made = 0;
    const at = await listen(t, () => ({
      status: 200,
      headers: {},
      body: (async function* () {
        try {
          for (; made < 100_000; made++) yield "x".repeat(100_000);
        } finally {
          released.open();
        }
      })(),
    }));
    const client = new RawClient(at.port).send(get("/x"));
    await client.until("xxx");
    client.socket.pause();
    client.socket.destroy();
    await released.opened;
    assert.ok(made < 100_000);
  });

  test("that a caller never takes is given up after a while", async (t) => {
    const released = gate();
    const body = async function* (): AsyncGenerator<string> {
      try {
        for (;;) yield "x".repeat(100_000);
      } finally {
        released.open();
      }
    };
    const at = await listen(t, () => ({ status: 200, headers: {}, body: body() }), { stallTimeoutMs: 50 });
    const client = new RawClient(at.port).send(get("/x"));
    client.socket.pause();
    await released.opened;
    client.socket.destroy();
  });

  test("is no longer worked on when the caller goes", async (t) => {
    const begun = gate();
    const aborted = gate();
    const at = await listen(t, async ({ signal }) => {
      signal.addEventListener("abort", aborted.open);
      begun.open();
      await aborted.opened;
      return OK;
    });
    const client = new RawClient(at.port).send(get("/x"));
    await begun.opened;
    client.socket.destroy();
    await aborted.opened;
  });

  test("that waits behind another on its connection is no longer worked on either", async (t) => {
    const begun = gate();
    const aborted = gate();
    const at = await listen(t, async ({ head, signal }) => {
      if (head.target.path === "/2") {
        signal.addEventListener("abort", aborted.open);
        begun.open();
      }
      await aborted.opened;
      return OK;
    });
    const client = new RawClient(at.port).send(["/1", "/2"].map((path) => `GET ${path} HTTP/1.1\r\nHost: a.example\r\n\r\n`).join(""));
    await begun.opened;
    client.socket.destroy();
    await aborted.opened;
  });

  test("whose source stays silent is told to stop when the caller goes", async (t) => {
    const asked = gate();
    const stopped = gate();
    const silent: AsyncIterator<string> = {
      async next() {
        asked.open();
        await stopped.opened;
        return { done: true, value: undefined };
      },
      async return() {
        stopped.open();
        return { done: true, value: undefined };
      },
    };
    const at = await listen(t, () => ({ status: 200, headers: {}, body: { [Symbol.asyncIterator]: () => silent } }));
    const client = new RawClient(at.port).send(get("/x"));
    await asked.opened;
    client.socket.destroy();
    await stopped.opened;
  });

  test("that was sent whole does not look like a caller who went", async (t) => {
    let signal: AbortSignal | undefined;
    const at = await listen(t, (exchange) => {
      ({ signal } = exchange);
      return OK;
    });
    await exchangeRaw(at.port, get("/x"));
    await at.server.close(0);
    assert.equal(signal?.aborted, false);
  });

  test("is one per request, and no more requests are begun on one connection than its bound says", async (t) => {
    const go = gate();
    const atBound = gate();
    const at = await listen(
      t,
      async ({ head }) => {
        if (head.target.path === "/2") atBound.open();
        await go.opened;
        return { status: 200, headers: {}, body: head.target.path };
      },
      { pipelinedMax: 2 },
    );
    const request = (n: number): string => `GET /${n} HTTP/1.1\r\nHost: a.example\r\n\r\n`;
    const client = new RawClient(at.port).send([1, 2, 3, 4].map(request).join("") + get("/5"));
    await atBound.opened;
    // a request of another connection is read after them
    await exchangeRaw(at.port, "\0");
    assert.deepEqual(at.handled, ["/1", "/2"]);
    go.open();
    assert.deepEqual(
      [...(await client.closed).matchAll(/\r\n\r\n(\/\d)/g)].map((match) => match[1]),
      ["/1", "/2", "/3", "/4", "/5"],
    );
  });
});
