import assert from "node:assert/strict";
import { once } from "node:events";
import { describe, test } from "node:test";
import { createHttpServer, type HttpHandler } from "../../src/wire/index.ts";
import { exchangeRaw, gate, get, listen, listenTcp, OK, RawClient, statuses } from "./loopback.ts";

describe("an upgrade", () => {
  const upgrade = (target: string, ...lines: string[]): string =>
    [`GET ${target} HTTP/1.1`, "Host: a.example", "Upgrade: websocket", "Connection: Upgrade", ...lines, "", ""].join("\r\n");

  test("gives the checked head, the socket and what was sent ahead", async (t) => {
    const at = await listen(t, undefined, {}, ({ socket, early }) => socket.end(`switched ${early.toString()}`));
    assert.equal(await exchangeRaw(at.port, `${upgrade("/socket?a=b")}early`), "switched early");
    assert.equal(at.upgraded[0]?.head.target.query, "a=b");
    assert.equal(at.handled.length, 0);
  });

  test("is checked like every other request", async (t) => {
    const at = await listen(t);
    const cases = [upgrade("/a/../b"), upgrade("/x", "Authorization: a", "Authorization: b"), `${upgrade("/x", "Content-Length: 3")}abc`];
    for (const text of [...cases, upgrade("/x").replace("GET", "POST")])
      assert.deepEqual(statuses(await exchangeRaw(at.port, text)), [400]);
    assert.equal(at.upgraded.length, 0);
  });

  test("never mixes with the answer to a request before it", async (t) => {
    const at = await listen(t, async ({ signal }) => {
      await once(signal, "abort");
      return OK;
    });
    assert.equal(await exchangeRaw(at.port, `GET /x HTTP/1.1\r\nHost: a.example\r\n\r\n${upgrade("/x")}`), "");
    assert.equal(at.upgraded.length, 0);
  });

  test("can be refused with an ordinary answer that ends the connection", async (t) => {
    const at = await listen(t, undefined, {}, ({ refuse }) => refuse({ status: 401, headers: { "x-a": "b" }, body: "no" }));
    const received = await exchangeRaw(at.port, upgrade("/x"));
    assert.deepEqual(statuses(received), [401]);
    assert.match(received, /\r\nx-a: b\r\n/);
    assert.match(received, /\r\ncontent-length: 2\r\nconnection: close\r\n\r\nno$/);
  });

  test("that is reset does not end the process", async (t) => {
    const reset = gate();
    const at = await listen(t, undefined, {}, ({ socket }) => {
      socket.once("close", reset.open);
      socket.write("switched");
    });
    const client = new RawClient(at.port).send(upgrade("/x"));
    await client.until("switched");
    client.socket.resetAndDestroy();
    await reset.opened;
  });
});

describe("closing", () => {
  test("ends idle connections at once and takes no new one", async (t) => {
    const at = await listen(t);
    const client = new RawClient(at.port).send("GET /x HTTP/1.1\r\nHost: a.example\r\n\r\n");
    await client.until("ok");
    await at.server.close(60_000);
    await client.closed;
    assert.equal(await exchangeRaw(at.port, get("/x")), "");
  });

  test("lets the request under way end, and its connection with it", async (t) => {
    const begun = gate();
    const go = gate();
    const at = await listen(t, async () => {
      begun.open();
      await go.opened;
      return OK;
    });
    const client = new RawClient(at.port).send("GET /x HTTP/1.1\r\nHost: a.example\r\n\r\n");
    await begun.opened;
    const closed = at.server.close(60_000);
    go.open();
    assert.match(await client.closed, /^HTTP\/1\.1 200 OK\r\n(?:.+\r\n)*connection: close\r\n/i);
    await closed;
  });

  test("ends a connection that was promised to be kept, once its stream is over", async (t) => {
    const go = gate();
    const body = async function* (): AsyncGenerator<string> {
      yield "first";
      await go.opened;
    };
    const at = await listen(t, () => ({ status: 200, headers: {}, body: body() }));
    const client = new RawClient(at.port).send("GET /x HTTP/1.1\r\nHost: a.example\r\n\r\n");
    await client.until("first");
    const closed = at.server.close(60_000);
    go.open();
    assert.ok((await client.closed).endsWith("0\r\n\r\n"));
    await closed;
  });

  test("breaks what lasts longer than the grace, streams and upgraded connections too", async (t) => {
    const aborted = gate();
    const at = await listen(
      t,
      ({ signal }) => ({
        status: 200,
        headers: {},
        body: (async function* () {
          signal.addEventListener("abort", aborted.open);
          yield "first";
          await aborted.opened;
        })(),
      }),
      {},
      ({ socket }) => socket.write("switched"),
    );
    const stream = new RawClient(at.port).send("GET /x HTTP/1.1\r\nHost: a.example\r\n\r\n");
    const socket = new RawClient(at.port).send("GET /x HTTP/1.1\r\nHost: a.example\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n");
    await Promise.all([stream.until("first"), socket.until("switched")]);
    await at.server.close(1);
    assert.ok(!(await stream.closed).endsWith("0\r\n\r\n"));
    await socket.closed;
    await aborted.opened;
  });
});

describe("a port", () => {
  test("that is taken is named, with what to do", async (t) => {
    const port = await listenTcp(t, () => undefined);
    const handler = {} as HttpHandler; // nothing will ask it
    await assert.rejects(createHttpServer({ host: "127.0.0.1", port, handler }), {
      code: "dependency_unavailable",
      message: `Port ${port} on 127.0.0.1: it is in use. Stop the program that has it or set another port.`,
    });
  });
});
