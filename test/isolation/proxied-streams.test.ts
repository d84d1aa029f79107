import assert from "node:assert/strict";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { createServer, type IncomingMessage, request, type Server } from "node:http";
import { type AddressInfo, connect } from "node:net";
import path from "node:path";
import { after, afterEach, describe, test } from "node:test";
import { WebSocket, WebSocketServer } from "ws";
import { temporaryFolder } from "../support/engines.ts";
import { guard, startFreehold } from "../support/freehold.ts";
import { Client } from "../support/freehold-client.ts";
import { until } from "../support/until.ts";

/** The longest that a change may take to hold everywhere. */
const DEADLINE_MS = 5_000;

/** An upstream that never ends what it begins: events, a download, a socket, an answer that does not come. */
class EndlessUpstream {
  readonly #server: Server;
  readonly #sockets: WebSocketServer;
  /** What is open at it now, by path. */
  readonly open: string[] = [];

  constructor() {
    this.#server = createServer((message, response) => {
      const { url = "" } = message;
      this.#opened(url, response);
      message.resume();
      if (url.startsWith("/events")) response.writeHead(200, { "content-type": "text/event-stream" }).write("data: 1\n\n");
      else if (url.startsWith("/download")) response.writeHead(200, { "content-length": "1000000" }).write("the first piece");
    });
    this.#sockets = new WebSocketServer({ server: this.#server });
    this.#sockets.on("connection", (client, message) => this.#opened(message.url ?? "", client));
  }

  async listen(): Promise<string> {
    this.#server.listen(0, "127.0.0.1");
    await once(this.#server, "listening");
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`; // it listens on TCP
  }

  close(): void {
    for (const client of this.#sockets.clients) client.terminate();
    this.#server.closeAllConnections();
    this.#server.close();
  }

  #opened(url: string, side: { on(event: "close", listener: () => void): unknown }): void {
    this.open.push(url);
    side.on("close", () => this.open.splice(this.open.indexOf(url), 1));
  }
}

/** Something that a caller holds open through the gateway. */
interface Held {
  ended: boolean;
  /** Whether it looks as if it had come to its own end. */
  whole: boolean;
}

const upstream = new EndlessUpstream();
const node = await upstream.listen();
const file = path.join(temporaryFolder(), "gateway.yaml");
const to = { type: "roundrobin", nodes: { [node]: 1 } };
writeFileSync(file, JSON.stringify({ routes: [{ id: "all", uri: "/*", enable_websocket: true, upstream: to }] }));
const freehold = await startFreehold({ settings: { gateway: { file } } });
const other = await freehold.second();
const { a, b } = freehold.credentials;
const operator = freehold.trusted(freehold.platform.admin);

async function stream(url: string, target: string, headers: Readonly<Record<string, string>>): Promise<Held> {
  const outgoing = request(url + target, { headers, agent: false });
  outgoing.end();
  outgoing.on("error", () => {}); // a stream that is broken off says so here as well
  const [response] = (await once(outgoing, "response")) as [IncomingMessage]; // the event's only argument
  assert.equal(response.statusCode, 200);
  const held: Held = { ended: false, whole: false };
  response.resume();
  response.on("error", () => {}); // "close" follows
  response.on("close", () => Object.assign(held, { ended: true, whole: response.complete }));
  return held;
}

async function socket(url: string, target: string, headers: Readonly<Record<string, string>>): Promise<Held> {
  const made = new WebSocket(url.replace("http:", "ws:") + target, { headers });
  const held: Held = { ended: false, whole: false };
  await once(made, "open");
  made.on("error", () => {}); // "close" follows
  made.on("close", (code) => Object.assign(held, { ended: true, whole: code === 1000 }));
  return held;
}

async function resume(): Promise<void> {
  await operator.send("POST", "/admin/v1/tenants/a/resume");
  await until("both serve", async () => (await new Client(other.url, a.member).get("/api/sessions")).status === 200, DEADLINE_MS);
}

describe("what is proxied for a tenant that is suspended", () => {
  guard(freehold);
  after(() => upstream.close());
  afterEach(() => resume());

  test("ends at once, here and in another process: events, downloads and sockets; another tenant's go on", async () => {
    const held: Held[] = [];
    const others: Held[] = [];
    for (const { url } of [freehold.app, other]) {
      for (const [target, open] of [["/events", stream] as const, ["/download", stream] as const, ["/socket", socket] as const]) {
        held.push(await open(url, `${target}?a`, a.member));
        others.push(await open(url, `${target}?b`, b.member));
      }
    }
    await operator.send("POST", "/admin/v1/tenants/a/suspend");
    await until("all of a's have ended", () => held.every(({ ended }) => ended), DEADLINE_MS);
    assert.ok(
      held.every(({ whole }) => !whole),
      "what was broken off must not look whole",
    );
    await until("the upstream is let go", () => !upstream.open.some((url) => url.endsWith("?a")), DEADLINE_MS);
    assert.ok(others.every(({ ended }) => !ended));
    assert.equal(upstream.open.length, others.length);
  });

  test("is refused where no answer was begun, with what the caller would be told now", async () => {
    const waiting = freehold.as(a.member).get("/never?a");
    await until("the upstream was asked", () => upstream.open.includes("/never?a"));
    await operator.send("POST", "/admin/v1/tenants/a/suspend");
    const reply = await waiting;
    assert.deepEqual([reply.status, reply.code], [403, "tenant_suspended"]);
    await until("the upstream is let go", () => !upstream.open.includes("/never?a"), DEADLINE_MS);
  });

  test("goes no further with an upload that is on its way", async () => {
    const upload = connect({ host: "127.0.0.1", port: freehold.as(a.member).port });
    const fields = ["Host: localhost", `authorization: ${a.member["authorization"]}`, "Content-Length: 100000"];
    upload.write(["POST /never?upload HTTP/1.1", ...fields, "", "the beginning"].join("\r\n"));
    await until("the upstream has the beginning", () => upstream.open.includes("/never?upload"));
    await operator.send("POST", "/admin/v1/tenants/a/suspend");
    const [answer] = (await once(upload, "data")) as [Buffer];
    assert.match(answer.toString(), /^HTTP\/1\.1 403 /);
    await until("the upstream is let go", () => !upstream.open.includes("/never?upload"), DEADLINE_MS);
    upload.destroy();
  });
});
