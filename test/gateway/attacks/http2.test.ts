import assert from "node:assert/strict";
import { once } from "node:events";
import { connect as connectHttp2, type IncomingHttpHeaders } from "node:http2";
import { connect, type TLSSocket } from "node:tls";
import { describe, test } from "node:test";
import { type Ending, startEcho, startPlane, type TestPlane } from "../../support/data-plane.ts";
import { until } from "../../support/until.ts";
import { A_EXAMPLE, AUTHORITY } from "../../wire/certificates.ts";
import { routeWith } from "../plugins/content-document.ts";

const SERVER = { tls: { certificateOf: () => A_EXAMPLE, http2: true } };

function socketTo({ port }: TestPlane): TLSSocket {
  return connect({ port, host: "127.0.0.1", servername: "a.example", ca: AUTHORITY, ALPNProtocols: ["h2"] });
}

async function statusOf(t: Ending, plane: TestPlane, headers: Readonly<Record<string, string | string[]>>): Promise<number> {
  const session = connectHttp2("https://a.example", { createConnection: () => socketTo(plane) });
  session.on("error", () => undefined);
  t.after(() => session.destroy());
  const stream = session.request({ ":path": "/x", authorization: "Bearer acme:user-1", ...headers });
  stream.resume();
  const answer = await Promise.race([
    once(stream, "response").then(([head]) => (head as IncomingHttpHeaders & { ":status"?: number })[":status"] ?? 0), // the event's first argument
    once(stream, "close").then(() => 0),
  ]).catch(() => 0);
  session.destroy();
  return answer;
}

const [HEADERS, RST_STREAM, SETTINGS, GOAWAY, CONTINUATION] = [1, 3, 4, 7, 9];
const [END_STREAM, END_HEADERS] = [1, 4];

function frame(type: number, flags: number, stream: number, payload: Buffer): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head.writeUInt8(type, 3);
  head.writeUInt8(flags, 4);
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

/** GET / of https and a.example by the static table of HPACK (RFC 7541, A). */
const REQUEST = Buffer.concat([Buffer.from([0x82, 0x87, 0x84, 0x41, 9]), Buffer.from("a.example")]);

const PREFACE = Buffer.concat([Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), frame(SETTINGS, 0, 0, Buffer.alloc(0))]);

/** The type of the frame with which the server decides about the first stream: the head of an answer, or an end; 0 when it just closed. */
async function decisionOn(plane: TestPlane, frames: readonly Buffer[]): Promise<number> {
  const socket = socketTo(plane).on("error", () => undefined);
  socket.write(Buffer.concat([PREFACE, ...frames]));
  let received = Buffer.alloc(0);
  try {
    for await (const piece of socket) {
      received = Buffer.concat([received, piece as Buffer]); // no encoding is set
      for (let at = 0; at + 9 <= received.length; at += 9 + received.readUIntBE(at, 3)) {
        const type = received[at + 3] ?? 0;
        if (type === HEADERS || type === RST_STREAM || type === GOAWAY) return type;
      }
    }
    return 0;
  } finally {
    socket.destroy();
  }
}

/** Sends these frames for as long as they are taken, and gives how many bytes were when the connection ended. */
async function flood(plane: TestPlane, first: readonly Buffer[], more: Buffer, times: number): Promise<number> {
  const socket = socketTo(plane);
  socket.on("error", () => undefined).resume();
  const closed = new Promise((resolve) => void socket.once("close", resolve));
  socket.write(Buffer.concat([PREFACE, ...first]));
  for (let i = 0; i < times && socket.writable; i++) {
    if (!socket.write(more)) await Promise.race([once(socket, "drain").catch(() => undefined), closed]);
  }
  await closed;
  return socket.bytesWritten;
}

describe("HTTP/2 in front of the gateway", () => {
  test("a head without end is not collected, and ends its connection", { timeout: 30_000 }, async (t) => {
    const echo = await startEcho(t);
    const plane = await startPlane(t, routeWith(echo.node, {}), { server: SERVER });
    const block = Buffer.concat([Buffer.from([0, 3]), Buffer.from("x-a"), Buffer.from([100]), Buffer.alloc(100, "y")]);
    const more = frame(CONTINUATION, 0, 1, Buffer.concat(Array.from({ length: 100 }, () => block)));
    const whole = [frame(HEADERS, END_STREAM, 1, REQUEST), frame(CONTINUATION, END_HEADERS, 1, block)];
    assert.equal(await decisionOn(plane, whole), HEADERS, "it is a request when it ends");
    await until("its record", () => plane.records.length === 1);
    const bytes = await flood(plane, [frame(HEADERS, END_STREAM, 1, REQUEST)], more, 10_000);
    assert.ok(bytes < 10_000 * more.length, `${bytes} bytes were taken`);
    const empty = await flood(plane, [frame(HEADERS, END_STREAM, 1, REQUEST)], frame(CONTINUATION, 0, 1, Buffer.alloc(0)), 1_000_000);
    assert.ok(empty < 1_000_000 * 9, `${empty} bytes of empty frames were taken`);
    assert.deepEqual([echo.received.length, plane.records.length], [0, 1]);
    assert.equal(await statusOf(t, plane, {}), 200);
  });

  test("a few bytes that stand for megabytes are no request", { timeout: 30_000 }, async (t) => {
    const echo = await startEcho(t);
    const plane = await startPlane(t, routeWith(echo.node, {}), { server: SERVER });
    // one field of 3,000 bytes goes into the table, and then is named by one byte ten thousand times
    const length = Buffer.from([0x7f, ...[3_000 - 127].flatMap((rest) => [(rest & 0x7f) | 0x80, rest >> 7])]);
    const entry = Buffer.concat([Buffer.from([0x40, 3]), Buffer.from("x-a"), length, Buffer.alloc(3_000, "y")]);
    const naming = (times: number): Buffer[] => [
      frame(HEADERS, END_STREAM | END_HEADERS, 1, Buffer.concat([REQUEST, entry, Buffer.alloc(times, 0xbe)])),
    ];
    assert.equal(await decisionOn(plane, naming(2)), HEADERS, "it is a request as long as it is small");
    await until("its record", () => plane.records.length === 1);
    // refused with an answer, or the stream or the connection is ended
    for (const times of [20, 1_000, 10_000]) await decisionOn(plane, naming(times));
    assert.deepEqual([echo.received.length, plane.records.length], [0, 1]);
    assert.equal(await statusOf(t, plane, {}), 200);
  });

  test("a host, a method or a path that HTTP/1.1 would not have is refused, and goes to no upstream", async (t) => {
    const echo = await startEcho(t);
    const plane = await startPlane(t, routeWith(echo.node, {}), { server: SERVER });
    const hostile: Record<string, string>[] = [
      { ":authority": "a.example/x" },
      { ":authority": "a@b.example" },
      { ":authority": "a.example", host: "b.example" },
      { ":authority": "" },
      { ":path": "/tenants/a/../globex/x" },
      { ":path": "https://b.example/x" },
      { ":path": "/x y" },
      { ":method": "GET /y HTTP/1.1\r\nX:" },
      { transfer_encoding: "chunked" },
      { "x-tenant-id": "acme, globex" },
    ];
    for (const headers of hostile) assert.notEqual(await statusOf(t, plane, headers), 200, JSON.stringify(headers));
    assert.equal(await statusOf(t, plane, { "x-tenant-id": "globex" }), 403);
    assert.equal(echo.received.length, 0);
    assert.equal(await statusOf(t, plane, { x_tenant_id: "globex", "x-http-method-override": "DELETE" }), 200);
    const [received] = echo.received;
    const named = received?.rawHeaders.filter((text) => /tenant.id$|override/i.test(text));
    assert.deepEqual(named, ["X-Tenant-ID"]);
  });
});
