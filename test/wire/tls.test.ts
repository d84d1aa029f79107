import assert from "node:assert/strict";
import { once } from "node:events";
import { type ClientHttp2Session, constants, type IncomingHttpHeaders } from "node:http2";
import { type AddressInfo, connect as connectTcp } from "node:net";
import { connect, createServer } from "node:tls";
import { describe, test } from "node:test";
import type { Origin, ServerTls } from "../../src/wire/index.ts";
import { until } from "../support/until.ts";
import { A_EXAMPLE, AUTHORITY, B_EXAMPLE, CLIENT, type TestCertificate } from "./certificates.ts";
import { session, TLS } from "./h2-session.ts";
import { bodyOf, type Ending, exchangeRaw, gate, get, statuses } from "./loopback.ts";
import { type GatewayOptions, startEcho, startGateway, type TestGateway } from "./proxying.ts";

interface Secure {
  readonly at: TestGateway;
  readonly requests: { readonly head: string; readonly body: string }[];
}

async function startSecure(ending: Ending, tls: Partial<ServerTls> = {}, options: GatewayOptions = {}): Promise<Secure> {
  const echo = await startEcho(ending);
  const at = await startGateway(ending, echo.port, { ...options, server: { tls: { ...TLS, ...tls }, ...options.server } });
  return { at, requests: echo.requests };
}

/** What the server says to one request over TLS, or the code of what ended the handshake. */
async function ask(port: number, servername: string, more: { cert?: string; key?: string } = {}): Promise<string> {
  const socket = connect({ port, host: "127.0.0.1", servername, ca: AUTHORITY, ALPNProtocols: ["http/1.1"], ...more });
  let text = "";
  socket.setEncoding("latin1").on("data", (piece: string) => {
    text += piece;
  });
  socket.on("error", (error: NodeJS.ErrnoException) => {
    text ||= error.code ?? error.message;
  });
  socket.write(get("/x"));
  await new Promise((resolve) => void socket.once("close", resolve));
  return text;
}

describe("a port with certificates", () => {
  test("shows each name its own, and ends the handshake of a name it does not know", async (t) => {
    const { at } = await startSecure(t);
    for (const name of ["a.example", "b.example", "A.EXAMPLE"]) assert.deepEqual(statuses(await ask(at.port, name)), [200], name);
    const unknown = await ask(at.port, "c.example");
    assert.deepEqual(statuses(unknown), []);
    assert.match(unknown, /^(?:ERR_SSL|ECONNRESET|EPROTO)/);
  });

  test("uses a changed certificate at the next handshake", async (t) => {
    let shown: TestCertificate = B_EXAMPLE;
    const { at } = await startSecure(t, { certificateOf: () => shown });
    assert.match(await ask(at.port, "a.example"), /ERR_TLS_CERT_ALTNAME_INVALID/);
    shown = A_EXAMPLE;
    assert.deepEqual(statuses(await ask(at.port, "a.example")), [200]);
  });

  test("takes only clients that the name's authority vouches for", async (t) => {
    const certificateOf: ServerTls["certificateOf"] = () => ({ ...A_EXAMPLE, clientCa: AUTHORITY });
    const { at, requests } = await startSecure(t, { certificateOf, clientCertificates: true });
    assert.deepEqual(statuses(await ask(at.port, "a.example", CLIENT)), [200]);
    const seen = requests.length;
    assert.deepEqual(statuses(await ask(at.port, "a.example")), []);
    assert.equal(requests.length, seen);
  });

  test("is not held open by what never begins to speak TLS", async (t) => {
    const { at } = await startSecure(t, {}, { server: { bounds: { headersTimeoutMs: 40 } } });
    const socket = connectTcp(at.port, "127.0.0.1");
    socket.on("error", () => undefined);
    await once(socket.resume(), "close");
  });
});

describe("an upstream with a certificate", () => {
  const ANSWER = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

  async function listenTls(ending: Ending): Promise<number> {
    const server = createServer({ ...A_EXAMPLE }, (socket) => {
      socket.on("error", () => undefined).on("data", () => socket.write(ANSWER));
    });
    await once(server.listen(0, "127.0.0.1"), "listening");
    ending.after(() => void server.close());
    const address = server.address();
    return typeof address === "object" && address ? address.port : 0;
  }

  const cases: [what: string, tls: Partial<NonNullable<Origin["tls"]>>, status: number][] = [
    ["whose name and authority are right is used", {}, 200],
    ["of another name is not", { serverName: "b.example" }, 502],
    ["of an unknown authority is not", { ca: undefined }, 502],
    ["of an unknown authority is used where nobody checks", { ca: undefined, verify: false }, 200],
  ];
  for (const [what, tls, status] of cases) {
    test(what, async (t) => {
      const port = await listenTls(t);
      const all = { serverName: "a.example", verify: true, ca: AUTHORITY, cert: undefined, key: undefined, ...tls };
      const at = await startGateway(t, port, { change: () => ({ origin: { host: "127.0.0.1", port, tls: all } }) });
      const both = `GET /x HTTP/1.1\r\nHost: a.example\r\n\r\n${get("/x")}`;
      assert.deepEqual(statuses(await exchangeRaw(at.port, both)), [status, status]);
    });
  }
});

test("a connection with TLS to an upstream is used again, also when it was idle for a while", async (t) => {
  let connections = 0;
  const server = createServer({ ...A_EXAMPLE }, (socket) => {
    connections++;
    socket.on("error", () => undefined).on("data", () => socket.write("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => server.close());
  const { port } = server.address() as AddressInfo; // a TCP server's address is an AddressInfo
  const tls = { serverName: "a.example", verify: true, ca: AUTHORITY, cert: undefined, key: undefined };
  const at = await startGateway(t, port, { change: () => ({ origin: { host: "127.0.0.1", port, tls } }) });
  for (let i = 0; i < 5; i++) {
    assert.deepEqual(statuses(await exchangeRaw(at.port, get("/x"))), [200]);
    await until("the connection is idle", () => at.pool.size().idle === 1);
  }
  assert.equal(connections, 1);
});

async function call(
  made: ClientHttp2Session,
  headers: Record<string, string | string[]>,
  body?: string,
): Promise<{ status: number; text: string; headers: IncomingHttpHeaders }> {
  const stream = made.request({ ":path": "/x", ...headers }, { endStream: body === undefined });
  if (body !== undefined) stream.end(body);
  const answered = once(stream, "response") as Promise<[IncomingHttpHeaders & { ":status"?: number }]>; // the event's first argument
  const [head] = await answered;
  let text = "";
  for await (const piece of stream.setEncoding("utf8")) text += piece as string; // an encoding is set
  return { status: head[":status"] ?? 0, text, headers: head };
}

const [HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY] = [1, 3, 4, 6, 7];
/** GET / of https and a.example by the static table of HPACK (RFC 7541, A). */
const REQUEST = Buffer.concat([Buffer.from([0x82, 0x87, 0x84, 0x41, 9]), Buffer.from("a.example")]);

function frame(type: number, flags: number, stream: number, payload: Buffer): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head.writeUInt8(type, 3);
  head.writeUInt8(flags, 4);
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

/** Sends these frames on a connection of their own, and waits for its end: the code of the GOAWAY that came, if one did. */
async function goAwayCode(port: number, frames: readonly Buffer[]): Promise<number | undefined> {
  const socket = connect({ port, host: "127.0.0.1", servername: "a.example", ca: AUTHORITY, ALPNProtocols: ["h2"] });
  const pieces: Buffer[] = [];
  socket.on("data", (bytes: Buffer) => pieces.push(bytes)).on("error", () => undefined);
  socket.write(Buffer.concat([Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), frame(SETTINGS, 0, 0, Buffer.alloc(0)), ...frames]));
  await new Promise((resolve) => void socket.once("close", resolve));
  const received = Buffer.concat(pieces);
  for (let at = 0; at + 9 <= received.length; at += 9 + received.readUIntBE(at, 3))
    if (received[at + 3] === GOAWAY) return received.readUInt32BE(at + 13);
  return undefined;
}

describe("a caller over HTTP/2", () => {
  test("gets what the upstream says over HTTP/1.1, many requests at once", async (t) => {
    const { at, requests } = await startSecure(t);
    const made = await session(t, at);
    const answers = await Promise.all(Array.from({ length: 50 }, (_, i) => call(made, { ":path": `/${i}?a=b` })));
    assert.deepEqual(
      answers.map(({ text }) => text),
      answers.map((_, i) => `GET /${i}?a=b`),
    );
    assert.ok(requests.every(({ head }) => /\r\nhost: a\.example(?::\d+)?\r\n/.test(head) && !head.includes(":path")));
    assert.equal(at.ends.length, 50);
  });

  test("may send a body and several cookies", async (t) => {
    const { at, requests } = await startSecure(t);
    const made = await session(t, at);
    const body = "x".repeat(200_000);
    assert.equal((await call(made, { ":method": "POST", cookie: ["a=b", "c=d"] }, body)).status, 200);
    assert.ok(requests[0]?.body === body);
    assert.match(requests[0]?.head ?? "", /\r\ncookie: a=b; c=d\r\n/);
  });

  test("is refused what HTTP/1.1 is refused", async (t) => {
    const { at, requests } = await startSecure(t);
    const made = await session(t, at);
    for (const headers of [{ ":path": "/a/../b" }, { ":path": "/%00" }, { content_length: "5" }, { ":method": "FETCH" }]) {
      assert.equal((await call(made, headers as Record<string, string>)).status, 400, JSON.stringify(headers));
    }
    assert.equal((await call(made, { ":method": "TRACE" })).status, 405);
    assert.deepEqual(requests, []);
  });

  test("that takes its requests back again and again is sent away", async (t) => {
    const { at } = await startSecure(t);
    const attack = Array.from({ length: 300 }, (_, i) => [
      frame(HEADERS, 5, 2 * i + 1, REQUEST),
      frame(RST_STREAM, 0, 2 * i + 1, Buffer.from([0, 0, 0, 8])),
    ]);
    assert.equal(await goAwayCode(at.port, attack.flat()), constants.NGHTTP2_ENHANCE_YOUR_CALM);
    await until("every exchange has ended", () => at.pool.size().busy === 0);
    assert.ok(at.ends.length <= 150, `${at.ends.length}`);
  });

  test("that sends settings or pings without end is sent away", async (t) => {
    const { at } = await startSecure(t);
    const pings = Array.from({ length: 1_000 }, () => frame(PING, 0, 0, Buffer.alloc(8)));
    assert.equal(await goAwayCode(at.port, pings), constants.NGHTTP2_ENHANCE_YOUR_CALM);
    const settings = Array.from({ length: 1_000 }, () => frame(SETTINGS, 0, 0, Buffer.alloc(0)));
    assert.ok([constants.NGHTTP2_ENHANCE_YOUR_CALM, constants.NGHTTP2_INTERNAL_ERROR].includes((await goAwayCode(at.port, settings)) ?? 0));
  });

  test("with more header fields than the bound costs no request", async (t) => {
    const { at, requests } = await startSecure(t);
    const made = await session(t, at);
    const fields = Object.fromEntries(Array.from({ length: 150 }, (_, i) => [`x-${i}`, "y"]));
    const other = await session(t, at);
    const tried = await Promise.allSettled([call(made, fields), call(other, { "x-large": "y".repeat(40_000) })]);
    for (const answer of tried) assert.notEqual(answer.status === "fulfilled" && answer.value.status, 200);
    assert.deepEqual(requests, []);
  });

  test("that goes away ends its request at the upstream", async (t) => {
    const asked = gate();
    const echo = await startEcho(t, () => {
      asked.open();
      return undefined;
    });
    const at = await startGateway(t, echo.port, { server: { tls: TLS } });
    const made = await session(t, at);
    made.request({ ":path": "/x" }).on("error", () => undefined);
    await asked.opened;
    made.destroy();
    await until("the upstream sees the end", () => echo.sockets.size === 0);
    assert.equal(at.ends[0]?.aborted, true);
  });

  test("keeps its answer when the port closes", async (t) => {
    const [asked, go] = [gate(), gate()];
    const { at } = await startSecure(t, {}, { change: async () => (asked.open(), await go.opened, {}) });
    const made = await session(t, at);
    const answer = call(made, {});
    await asked.opened;
    const closed = at.close(60_000);
    go.open();
    assert.equal(bodyOf((await answer).text) && (await answer).status, 200);
    await closed;
  });
});
