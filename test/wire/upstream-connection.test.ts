import assert from "node:assert/strict";
import type { Socket } from "node:net";
import { describe, test } from "node:test";
import { UpstreamConnection, type UpstreamUser } from "../../src/wire/http1/upstream-connection.ts";
import { TimerWheel } from "../../src/wire/timer-wheel.ts";
import { type Ending, gate, listenTcp } from "./loopback.ts";

const POISON = "HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\npoison";
const OK = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
const TIMEOUTS = { sendMs: 60_000, readMs: 60_000 };

/** A user that writes a request down and, unless it `sends`, keeps it back; `heard` is what it was told, `over` the end of that. */
function createUser(sends: boolean): UpstreamUser & { heard: string[]; over: Promise<void> } {
  const { opened, open } = gate();
  const heard: string[] = [];
  const end = (what: string): void => {
    heard.push(what);
    open();
  };
  return {
    heard,
    over: opened,
    onReady(connection) {
      connection.begin("GET", "GET /x HTTP/1.1\r\nhost: a.example\r\n\r\n", TIMEOUTS);
      connection.complete();
      if (sends) connection.flush();
    },
    onInterim: () => undefined,
    onHead: ({ status }) => void heard.push(String(status)),
    piece: () => undefined,
    onTrailers: () => undefined,
    onBodyEnd: () => end("whole"),
    onRead: () => undefined,
    onWritable: () => undefined,
    onSpoilt: () => end("spoilt"),
    onFail: (kind) => end(kind),
  };
}

interface Lent {
  readonly connection: UpstreamConnection;
  readonly upstream: Socket;
}

/** A connection that has served one request and is idle. */
async function createIdle(ending: Ending): Promise<Lent> {
  const sockets: Socket[] = [];
  const port = await listenTcp(ending, (socket) => {
    sockets.push(socket);
    socket.once("data", () => socket.write(OK));
  });
  const wheel = new TimerWheel(1_000);
  const user = createUser(true);
  const keeper = { wheel, isProved: true, keep: () => undefined, drop: () => undefined };
  const connection = new UpstreamConnection(keeper, { host: "127.0.0.1", port, tls: undefined }, undefined, user, 60_000);
  ending.after(() => {
    connection.destroy();
    wheel.close();
  });
  await user.over;
  assert.deepEqual(user.heard, ["200", "whole"]);
  const [upstream] = sockets;
  assert.ok(upstream);
  return { connection, upstream };
}

describe("an idle connection that was lent, before anything was sent on it", () => {
  test("is spoilt by an answer: it is nobody's, and another connection serves as well", async (t) => {
    const { connection, upstream } = await createIdle(t);
    const next = createUser(false);
    connection.lend(next);
    upstream.write(POISON);
    await next.over;
    assert.deepEqual(next.heard, ["spoilt"]);
    assert.ok(connection.socket.destroyed);
  });

  test("is spoilt by its end", async (t) => {
    const { connection, upstream } = await createIdle(t);
    const next = createUser(false);
    connection.lend(next);
    upstream.end();
    await next.over;
    assert.deepEqual(next.heard, ["spoilt"]);
  });
});

test("an answer on a new connection before the request was sent is none", async (t) => {
  const port = await listenTcp(t, (socket) => void socket.write(POISON));
  const wheel = new TimerWheel(1_000);
  t.after(() => wheel.close());
  const user = createUser(false);
  const keeper = { wheel, isProved: true, keep: () => undefined, drop: () => undefined };
  void new UpstreamConnection(keeper, { host: "127.0.0.1", port, tls: undefined }, undefined, user, 60_000);
  await user.over;
  assert.deepEqual(user.heard, ["invalid"]);
});
