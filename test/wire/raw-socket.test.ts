import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { once } from "node:events";
import type { Socket } from "node:net";
import { describe, test } from "node:test";
import { rawWriterOf, readInto } from "../../src/wire/http1/raw-socket.ts";
import { until } from "../support/until.ts";
import { exchangeRaw, gate, get, listen, listenTcp, OK, RawClient, statuses } from "./loopback.ts";
import { startEcho, startGateway } from "./proxying.ts";

const KEPT = "Host: a.example\r\n";
const PIECE_BYTES = 64 * 1024;
const LARGE_BYTES = 100 * 1024 * 1024;
/** What the kernel and the processes at both ends may hold of it. */
const HELD_BYTES_MAX = 40 * 1024 * 1024;

/** Each is another one: whoever looks at bytes that were read over shows it. */
function pieceAt(written: number): Buffer {
  return Buffer.alloc(PIECE_BYTES, (written / PIECE_BYTES) % 251);
}

/** Writes so many bytes as fast as they are taken, and says how many were so far. */
function pour(socket: Socket, bytes: number): { written: number } {
  const poured = { written: 0 };
  const pump = (): void => {
    while (poured.written < bytes && socket.writable) {
      const piece = pieceAt(poured.written);
      poured.written += piece.length;
      if (!socket.write(piece)) return;
    }
  };
  socket.on("drain", pump);
  pump();
  return poured;
}

/** Waits until no more is written, while others are answered whose bytes are read over the last that were read here. */
async function standstill(port: number, poured: () => number): Promise<void> {
  let before = -1;
  await until("nothing moves", async () => {
    const still = poured() === before && before > 0;
    before = poured();
    for (let i = 0; i < 20; i++) await exchangeRaw(port, "\0".repeat(PIECE_BYTES));
    return still;
  });
}

function hashOf(bytes: number): string {
  const hash = createHash("sha256");
  for (let at = 0; at < bytes; at += PIECE_BYTES) hash.update(pieceAt(at));
  return hash.digest("hex");
}

test("a plain connection is read and written past Node's streams on this Node", async (t) => {
  const seen = gate();
  let found: { writes: boolean; reads: boolean } | undefined;
  const port = await listenTcp(t, (socket) => {
    found = { writes: rawWriterOf(socket, () => undefined) !== undefined, reads: readInto(socket, () => undefined) };
    seen.open();
    socket.destroy();
  });
  const client = new RawClient(port);
  await seen.opened;
  await client.closed;
  assert.deepEqual(found, { writes: true, reads: true });
});

describe("an answer of 100 MB", () => {
  test("waits at the upstream while its caller takes nothing, and arrives as it was", async (t) => {
    let poured = { written: 0 };
    const port = await listenTcp(t, (socket) => {
      socket.once("data", () => {
        socket.write(`HTTP/1.1 200 OK\r\ncontent-length: ${LARGE_BYTES}\r\n\r\n`);
        poured = pour(socket, LARGE_BYTES);
      });
    });
    const at = await startGateway(t, port);
    const client = new RawClient(at.port).send(get("/x"));
    await client.until("\r\n\r\n");
    const hash = createHash("sha256").update(client.received.slice(client.received.indexOf("\r\n\r\n") + 4), "latin1");
    client.socket.pause().removeAllListeners("data");
    await standstill(at.port, () => poured.written);
    assert.ok(poured.written < HELD_BYTES_MAX, `${poured.written}`);
    client.socket.on("data", (text: string) => void hash.update(text, "latin1")).resume();
    await client.closed;
    assert.equal(hash.digest("hex"), hashOf(LARGE_BYTES));
    assert.equal(at.ends[0]?.bytesOut, LARGE_BYTES);
  });

  test("that its caller breaks off in the middle is broken off at the upstream, and the next one is served", async (t) => {
    let sockets = 0;
    const port = await listenTcp(t, (socket) => {
      sockets++;
      socket.once("close", () => sockets--);
      socket.once("data", () => {
        socket.write(`HTTP/1.1 200 OK\r\ncontent-length: ${LARGE_BYTES}\r\n\r\n`);
        pour(socket, LARGE_BYTES);
      });
    });
    const at = await startGateway(t, port);
    const client = new RawClient(at.port).send(get("/x"));
    await client.until("\r\n\r\n");
    client.socket.pause();
    await standstill(at.port, () => 1); // a write is pending now
    client.socket.resetAndDestroy();
    await until("the upstream's connection is gone", () => sockets === 0 && at.ends.length === 1);
    assert.equal(at.ends[0]?.aborted, true);
    assert.deepEqual(at.pool.size(), { idle: 0, busy: 0 });
  });

  test("does not outlive its port: a pending write ends with the connection", async (t) => {
    const port = await listenTcp(t, (socket) => {
      socket.once("data", () => {
        socket.write(`HTTP/1.1 200 OK\r\ncontent-length: ${LARGE_BYTES}\r\n\r\n`);
        pour(socket, LARGE_BYTES);
      });
    });
    const at = await startGateway(t, port);
    const client = new RawClient(at.port).send(get("/x"));
    await client.until("\r\n\r\n");
    client.socket.pause();
    await standstill(at.port, () => 1);
    await at.close(0);
    client.socket.resume();
    await client.closed;
    assert.equal(at.ends[0]?.aborted, true);
  });
});

test("a request of 100 MB waits at the caller while the upstream takes nothing, and arrives as it was", async (t) => {
  const go = gate();
  const hash = createHash("sha256");
  let seen = 0;
  const port = await listenTcp(t, (socket) => {
    socket.pause();
    void go.opened.then(() => {
      let head = true;
      socket.resume().on("data", (bytes: Buffer) => {
        const body = head ? bytes.subarray(bytes.indexOf("\r\n\r\n") + 4) : bytes;
        head = false;
        hash.update(body);
        seen += body.length;
        if (seen === LARGE_BYTES) socket.write("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
      });
    });
  });
  const at = await startGateway(t, port, { change: (_exchange, { timeouts }) => ({ timeouts: { ...timeouts, sendMs: 300_000 } }) });
  const client = new RawClient(at.port).send(`POST /x HTTP/1.1\r\n${KEPT}Connection: close\r\nContent-Length: ${LARGE_BYTES}\r\n\r\n`);
  const poured = pour(client.socket, LARGE_BYTES);
  await standstill(at.port, () => poured.written);
  assert.ok(poured.written < HELD_BYTES_MAX, `${poured.written}`);
  go.open();
  assert.deepEqual(statuses(await client.closed), [200]);
  assert.equal(hash.digest("hex"), hashOf(LARGE_BYTES));
});

describe("a caller that takes no answer", () => {
  const large = { ...OK, body: "x".repeat(60_000) };
  const requests = `GET /x HTTP/1.1\r\n${KEPT}\r\n`.repeat(500);

  test("is not read on, however many requests it sends", async (t) => {
    const at = await listen(t, () => large);
    const client = new RawClient(at.port);
    client.socket.pause();
    const poured = { written: 0 };
    const pump = (): void => {
      while (poured.written < 200_000 && client.socket.writable) {
        poured.written += 500;
        if (!client.socket.write(requests)) return;
      }
    };
    client.socket.on("drain", pump);
    pump();
    await standstill(at.port, () => at.handled.length);
    assert.ok(at.handled.length * large.body.length < HELD_BYTES_MAX, `${at.handled.length} answers are waiting`);
    const before = at.handled.length;
    client.socket.removeAllListeners("data");
    client.socket.resume();
    await until("it is read on when it takes them", () => at.handled.length > before + 1_000);
    client.socket.destroy();
  });

  test("is given up after a while, also when its last answer was complete and it goes on sending", async (t) => {
    const at = await listen(t, () => large, { stallTimeoutMs: 50, keepAliveTimeoutMs: 600_000, headersTimeoutMs: 600_000 });
    const client = new RawClient(at.port);
    client.socket.pause();
    client.send(requests);
    await until("a write is pending", () => at.handled.length > 1);
    const closed = gate();
    const more = setInterval(() => client.socket.write("GET /x HTTP/1.1\r\n"), 10);
    client.socket.once("error", closed.open).once("close", closed.open);
    await closed.opened;
    clearInterval(more);
    assert.ok(at.handled.length < 500);
  });
});

describe("a change of protocol", () => {
  const upgrade = `GET /up HTTP/1.1\r\n${KEPT}Upgrade: websocket\r\nConnection: Upgrade\r\n\r\n`;

  test("comes behind answers whose write is pending, in order", async (t) => {
    const body = "x".repeat(60_000);
    const switched = "HTTP/1.1 101 Switching Protocols\r\n\r\n";
    const at = await listen(
      t,
      () => ({ ...OK, body }),
      {},
      ({ socket, early }) => {
        socket.write(`${switched}${early.toString("latin1").toUpperCase()}`);
        socket.on("data", (bytes: Buffer) => socket.end(bytes.toString("latin1").toUpperCase()));
      },
    );
    const request = `GET /x HTTP/1.1\r\n${KEPT}\r\n`;
    const first = new RawClient(at.port).send(request.repeat(500));
    first.socket.pause();
    await standstill(at.port, () => at.handled.length);
    const answers = at.handled.length; // so many and one more does not take
    first.socket.destroy();
    const client = new RawClient(at.port);
    client.socket.pause();
    client.send(request.repeat(answers));
    await until("they are answered", () => at.handled.length === 2 * answers);
    client.send(`${upgrade}early `);
    await exchangeRaw(at.port, "\0");
    client.socket.resume();
    await client.until("EARLY ");
    const received = await client.send("late").closed;
    assert.equal(statuses(received).filter((status) => status === 200).length, answers);
    assert.ok(received.endsWith(`${body}${switched}EARLY LATE`));
  });

  test("carries 100 MB each way as they were, though the other side does not read for a while", async (t) => {
    const go = gate();
    const [up, down] = [createHash("sha256"), createHash("sha256")];
    let [seen, poured] = [0, { written: 0 }];
    const port = await listenTcp(t, (socket) => {
      socket.once("data", () => {
        socket.pause().write("HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\n\r\n");
        poured = pour(socket, LARGE_BYTES);
        socket.on("data", (bytes: Buffer) => {
          up.update(bytes);
          seen += bytes.length;
        });
        void go.opened.then(() => socket.resume());
      });
    });
    const at = await startGateway(t, port);
    const client = new RawClient(at.port).send(upgrade);
    await client.until("\r\n\r\n");
    client.socket.pause().removeAllListeners("data");
    down.update(client.received.slice(client.received.indexOf("\r\n\r\n") + 4), "latin1");
    let got = client.received.length - client.received.indexOf("\r\n\r\n") - 4;
    const sent = pour(client.socket, LARGE_BYTES);
    await standstill(at.port, () => poured.written + sent.written);
    assert.ok(poured.written + sent.written < 2 * HELD_BYTES_MAX, `${poured.written} ${sent.written}`);
    client.socket.on("data", (text: string) => {
      down.update(text, "latin1");
      got += text.length;
    });
    client.socket.resume();
    go.open();
    await until("all of it is here", () => seen === LARGE_BYTES && got === LARGE_BYTES, 60_000);
    assert.deepEqual([up.digest("hex"), down.digest("hex")], [hashOf(LARGE_BYTES), hashOf(LARGE_BYTES)]);
    client.socket.destroy();
  });

  test("keeps apart what many callers sent ahead, though all are read into one place", async (t) => {
    const go = gate();
    const taken: string[] = [];
    const count = 50;
    const at = await listen(
      t,
      () => OK,
      {},
      (exchange) => {
        void go.opened.then(() => {
          taken.push(exchange.early.toString("latin1"));
          exchange.socket.destroy();
        });
      },
    );
    const clients = Array.from({ length: count }, (_, i) => new RawClient(at.port).send(`${upgrade}early ${i} `));
    await until("all have asked", () => at.upgraded.length === count);
    await exchangeRaw(at.port, get(`/${"y".repeat(4_000)}`));
    go.open();
    await Promise.all(clients.map(({ closed }) => closed));
    assert.deepEqual(taken.toSorted(), Array.from({ length: count }, (_, i) => `early ${i} `).toSorted());
  });
});

test("bytes of many callers never mix, however their messages are cut into reads", async (t) => {
  const echo = await startEcho(t, ({ body }) => `HTTP/1.1 200 OK\r\ncontent-length: ${body.length}\r\n\r\n${body}`);
  const at = await startGateway(t, echo.port);
  const bodies = Array.from({ length: 24 }, (_, i) => `${i};`.repeat(1 + 700 * i)); // shorter and longer than what is made into text at once
  const clients = bodies.map(() => new RawClient(at.port));
  await Promise.all(clients.map(({ socket }) => once(socket.setNoDelay(true), "connect")));
  const texts = bodies.map((body, i) => {
    const chunks = i % 2 === 0 ? `${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n` : body;
    const framing = i % 2 === 0 ? "Transfer-Encoding: chunked" : `Content-Length: ${body.length}`;
    return `POST /${i} HTTP/1.1\r\n${KEPT}${framing}\r\nConnection: close\r\n\r\n${chunks}`;
  });
  const longest = Math.max(...texts.map(({ length }) => length));
  for (let [from, step] = [0, 7]; from < longest; from += step, step = 1 + ((step * 13) % 9_001)) {
    for (const [i, text] of texts.entries()) if (from < text.length) clients[i]?.send(text.slice(from, from + step));
    await new Promise((resolve) => void setImmediate(resolve));
  }
  const received = await Promise.all(clients.map(({ closed }) => closed));
  for (const [i, body] of bodies.entries()) assert.ok(received[i]?.endsWith(`\r\n\r\n${body}`), `caller ${i}`);
});
