import assert from "node:assert/strict";
import { createServer, type IncomingMessage, request, type Server } from "node:http";
import type { Socket } from "node:net";
import { Duplex } from "node:stream";
import { after, test } from "node:test";
import { BodyDecoder } from "../../src/wire/http1/body-decoder.ts";
import { CallerConnection } from "../../src/wire/http1/caller-connection.ts";
import { END_OF_HEAD } from "../../src/wire/http1/characters.ts";
import { toRules } from "../../src/wire/http1/request-parser.ts";
import { parseResponseHead } from "../../src/wire/http1/response-parser.ts";
import { TimerWheel } from "../../src/wire/timer-wheel.ts";
import type { Answer, Exchange, HttpBounds, HttpHandler } from "../../src/wire/index.ts";
import { Dice, makeRequests, makeResponse } from "./fuzz-messages.ts";

const REQUESTS = Number(process.env["FREEHOLD_TEST_FUZZ"] ?? 100_000);
const BATCH = 100;
const METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"];
const DONE: Answer = { status: 200, headers: {}, body: undefined };
const BOUNDS: HttpBounds = {
  headerBytesMax: 16 * 1024,
  fieldsMax: 100,
  headersTimeoutMs: 60_000,
  requestTimeoutMs: 60_000,
  keepAliveTimeoutMs: 60_000,
  stallTimeoutMs: 60_000,
  connectionsMax: 1_000,
  pipelinedMax: 100,
  lingerBytesMax: 1_000,
  lingerMs: 60_000,
};

/** One message as a reader understood it. */
interface Message {
  readonly first: string;
  readonly fields: readonly (readonly [string, string])[];
  readonly body: string;
}

/** A connection without a network below: it gives what it is fed and drops what is sent. */
class Wire extends Duplex {
  constructor() {
    super({ allowHalfOpen: true });
    this.on("error", () => undefined);
  }

  override _read(): void {
    // fed from outside
  }

  override _write(_bytes: unknown, _encoding: unknown, done: () => void): void {
    done();
  }

  setTimeout(): this {
    return this;
  }

  destroySoon(): void {
    this.destroy();
  }

  resetAndDestroy(): void {
    this.destroy();
  }
}

const turn = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));

const wheel = new TimerWheel(1_000);
after(() => wheel.close());

/** Feeds our own connection, in two pieces, and gives the requests that were read whole, as far as they have come. */
function readByUs(text: string, cut: number): Message[] {
  const messages: (Message | undefined)[] = [];
  const take = async (exchange: Exchange): Promise<Answer> => {
    const at = messages.push(undefined) - 1;
    const { method, target, headers } = exchange.head;
    const body = exchange.hasBody ? Buffer.from(await exchange.readBody(100_000)).toString("latin1") : "";
    messages[at] = { first: `${method} ${target.raw}`, fields: headers.fields, body };
    return DONE;
  };
  const handler: HttpHandler = {
    handle: take,
    upgrade({ head, refuse }) {
      messages.push({ first: `${head.method} ${head.target.raw}`, fields: head.headers.fields, body: "" });
      refuse(DONE);
    },
    refuse: () => ({ status: 400, headers: {}, body: "" }),
  };
  const rules = toRules(BOUNDS.fieldsMax, new Set(METHODS), "lenient", []);
  const wire = new Wire();
  const ends = { remoteAddress: "", remotePort: 0, localAddress: "", localPort: 0, scheme: "http" } as const;
  // what the connection uses of a socket is here
  const connection = new CallerConnection(
    { handler, bounds: BOUNDS, rules, wheel, closing: false, forget: () => undefined },
    wire as unknown as Socket,
    ends,
  );
  assert.ok(connection.idle);
  wire.push(Buffer.from(text.slice(0, cut), "latin1"));
  if (cut < text.length) wire.push(Buffer.from(text.slice(cut), "latin1"));
  return messages as Message[];
}

/** The same by Node's parser. */
function readByNode(server: Server, text: string, found: WeakMap<object, Message[]>): Message[] {
  const messages: Message[] = [];
  const wire = new Wire();
  found.set(wire, messages);
  server.emit("connection", wire);
  wire.push(Buffer.from(text, "latin1"));
  return messages;
}

function pairs(raw: readonly string[]): [string, string][] {
  return raw.flatMap((name, i): [string, string][] => (i % 2 === 0 ? [[name, raw[i + 1] ?? ""]] : []));
}

function createReference(found: WeakMap<object, Message[]>): Server {
  const server = createServer({ insecureHTTPParser: false, requireHostHeader: false, keepAliveTimeout: 0 });
  server.maxHeadersCount = 0;
  const take = (message: IncomingMessage, done: () => void): void => {
    const list = found.get(message.socket);
    let body = "";
    message.setEncoding("latin1").on("data", (piece: string) => {
      body += piece;
    });
    message
      .on("error", () => undefined)
      .on("end", () => {
        list?.push({ first: `${message.method} ${message.url}`, fields: pairs(message.rawHeaders), body });
        done();
      });
  };
  for (const event of ["request", "checkContinue", "checkExpectation"] as const) {
    server.on(event, (message: IncomingMessage, response: { end(): void }) => take(message, () => response.end()));
  }
  const switched = (message: IncomingMessage): void => {
    found.get(message.socket)?.push({ first: `${message.method} ${message.url}`, fields: pairs(message.rawHeaders), body: "" });
  };
  return server
    .on("upgrade", switched)
    .on("connect", switched)
    .on("clientError", () => undefined);
}

test(`of ${REQUESTS} random connections no request is read that Node's strict parser does not read the same way`, async (t) => {
  const seed = Number(process.env["FREEHOLD_TEST_SEED"] ?? Date.now() % 2_147_483_647);
  t.diagnostic(`seed ${seed}`);
  const dice = new Dice(seed);
  const found = new WeakMap<object, Message[]>();
  const server = createReference(found);
  t.after(() => server.close());
  let read = 0;
  for (let done = 0; done < REQUESTS; done += BATCH) {
    const batch = Array.from({ length: BATCH }, () => {
      const text = makeRequests(dice);
      return { text, ours: readByUs(text, dice.roll(text.length + 1)), theirs: readByNode(server, text, found) };
    });
    for (let i = 0; i < 4; i++) await turn();
    for (const { text, ours, theirs } of batch) {
      const whole = ours.filter(Boolean);
      read += whole.length;
      if (whole.length > theirs.length || whole.some((message, i) => !isSame(message, theirs[i]))) {
        assert.deepEqual(whole, theirs.slice(0, whole.length), JSON.stringify(text));
      }
    }
  }
  // a reader that refuses everything would pass as well
  assert.ok(read > REQUESTS / 3, `${read} were read`);
});

function isSame(a: Message, b: Message | undefined): boolean {
  return b !== undefined && a.first === b.first && a.body === b.body && JSON.stringify(a.fields) === JSON.stringify(b.fields);
}

/** What we understand of an upstream's answer; undefined when it is not valid or not complete. */
function readAnswer(text: string): Message | undefined {
  const bytes = Buffer.from(text, "latin1");
  let start = 0;
  try {
    for (;;) {
      const end = bytes.indexOf(END_OF_HEAD, start);
      if (end === -1) return undefined;
      const head = parseResponseHead(bytes.toString("latin1", start, end + 4), "GET");
      start = end + 4;
      if (head.status < 200) continue;
      const decoder = new BodyDecoder();
      let body = "";
      decoder.begin(head.framing);
      decoder.decode(bytes, start, { piece: (piece, from, to) => void (body += piece.toString("latin1", from, to)) });
      return decoder.done || decoder.untilClose ? { first: String(head.status), fields: head.headers.fields, body } : undefined;
    }
  } catch {
    return undefined;
  }
}

/** What Node's client understands of it. */
function answerByNode(text: string, take: (message: Message) => void): void {
  const wire = new Wire();
  const outgoing = request({ createConnection: () => wire, host: "a.example" });
  outgoing.on("error", () => undefined).on("upgrade", () => undefined);
  outgoing.on("response", (message) => {
    let body = "";
    message.setEncoding("latin1").on("data", (piece: string) => {
      body += piece;
    });
    message
      .on("error", () => undefined)
      .on("end", () => take({ first: String(message.statusCode), fields: pairs(message.rawHeaders), body }));
  });
  outgoing.end();
  setImmediate(() => {
    wire.push(Buffer.from(text, "latin1"));
    wire.push(null);
  });
}

test(`of ${REQUESTS / 2} random answers none is read that Node's strict parser does not read the same way`, async (t) => {
  const seed = Number(process.env["FREEHOLD_TEST_SEED"] ?? Date.now() % 2_147_483_647);
  t.diagnostic(`seed ${seed}`);
  const dice = new Dice(seed);
  let read = 0;
  for (let done = 0; done < REQUESTS / 2; done += BATCH) {
    const batch = Array.from({ length: BATCH }, () => {
      const text = makeResponse(dice);
      const entry: { text: string; ours: Message | undefined; theirs?: Message } = { text, ours: readAnswer(text) };
      answerByNode(text, (message) => {
        entry.theirs = message;
      });
      return entry;
    });
    for (let i = 0; i < 10; i++) await turn();
    for (const { text, ours, theirs } of batch) {
      if (!ours) continue;
      read++;
      if (!isSame(ours, theirs)) assert.deepEqual(ours, theirs, JSON.stringify(text));
    }
  }
  assert.ok(read > REQUESTS / 12, `${read} were read`);
});
