import assert from "node:assert/strict";
import { createServer, type IncomingMessage, request, type Server } from "node:http";
import { after, test, type TestContext } from "node:test";
import { BodyDecoder } from "../../src/wire/http1/body-decoder.ts";
import { END_OF_HEAD } from "../../src/wire/http1/characters.ts";
import { scanFields } from "../../src/wire/http1/fields.ts";
import { parseResponseHead } from "../../src/wire/http1/response-parser.ts";
import { cut, Dice, makeRequests, makeResponse } from "./fuzz-messages.ts";
import { type Message, RawWire, readByUs, wheel, Wire } from "./fuzz-wire.ts";

/** `npm run fuzz` says more. */
const CONNECTIONS = Number(process.env["FREEHOLD_TEST_FUZZ"] ?? 100_000);
const BATCH = 100;
const PROGRESS = 100_000;

const turn = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));

after(() => wheel.close());

/** The seed of this run, said at once, so that it is known however the run ends. */
function toDice(t: TestContext): Dice {
  const seed = Number(process.env["FREEHOLD_TEST_SEED"] ?? Date.now() % 2_147_483_647);
  t.diagnostic(`seed ${seed}`);
  if (CONNECTIONS > PROGRESS) process.stdout.write(`seed ${seed}: ${t.name}\n`);
  return new Dice(seed);
}

function tell(done: number, what: string): void {
  if (CONNECTIONS > PROGRESS && done % PROGRESS === 0) process.stdout.write(`${new Date().toISOString()} ${done}: ${what}\n`);
}

/** The requests as Node's parser reads them. */
function readByNode(server: Server, wire: Wire, bytes: Buffer, found: WeakMap<object, Message[]>): Message[] {
  const messages: Message[] = [];
  found.set(wire, messages);
  server.emit("connection", wire);
  wire.feed(bytes);
  return messages;
}

function pairs(raw: readonly string[]): [string, string][] {
  return raw.flatMap((name, i): [string, string][] => (i % 2 === 0 ? [[name, raw[i + 1] ?? ""]] : []));
}

function createReference(found: WeakMap<object, Message[]>): Server {
  const server = createServer({
    insecureHTTPParser: false,
    requireHostHeader: false,
    keepAliveTimeout: 0,
    headersTimeout: 0,
    requestTimeout: 0,
  });
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

test(`of ${CONNECTIONS} random connections no request is read that Node's strict parser does not read the same way`, async (t) => {
  const dice = toDice(t);
  const found = new WeakMap<object, Message[]>();
  const server = createReference(found);
  t.after(() => server.close());
  let read = 0;
  for (let done = 0; done < CONNECTIONS; done += BATCH) {
    const batch = Array.from({ length: BATCH }, () => {
      const text = makeRequests(dice);
      const bytes = Buffer.from(text, "latin1");
      const wire = new Wire();
      const theirs = readByNode(server, wire, bytes, found);
      const ours = readByUs(cut(bytes, dice), dice.roll(2) === 0 ? new Wire() : new RawWire());
      return { text, ours, theirs, whole: readByUs([bytes], new RawWire()), wires: [wire] };
    });
    for (let i = 0; i < 4; i++) await turn();
    for (const { text, ours, theirs, whole, wires } of batch) {
      const messages = ours.messages.filter((message) => message !== undefined);
      read += messages.length;
      if (messages.length > theirs.length || messages.some((message, i) => !isSame(message, theirs[i]))) {
        assert.deepEqual(messages, theirs.slice(0, messages.length), JSON.stringify(text));
      }
      // however the bytes were cut into reads
      if (ours.refused !== whole.refused || !ours.messages.every((message, i) => isEqual(message, whole.messages[i]))) {
        assert.deepEqual([ours.refused, ours.messages], [whole.refused, whole.messages], JSON.stringify(text));
      }
      for (const wire of [...wires, ours.wire, whole.wire]) wire.destroy();
    }
    tell(done + BATCH, `${read} requests were read`);
  }
  // a reader that refuses everything would pass as well
  assert.ok(read > CONNECTIONS / 3, `${read} were read`);
  t.diagnostic(`${read} requests were read`);
});

function isEqual(a: Message | undefined, b: Message | undefined): boolean {
  return a === undefined ? b === undefined : isSame(a, b);
}

function isSame(a: Message, b: Message | undefined): boolean {
  if (b === undefined || a.first !== b.first || a.body !== b.body) return false;
  return JSON.stringify(a.fields) === JSON.stringify(b.fields) && JSON.stringify(a.trailers) === JSON.stringify(b.trailers);
}

/** What we understand of an upstream's answer; undefined when it is not valid or not complete. */
function readAnswer(pieces: readonly Buffer[], once: boolean): Message | undefined {
  const decoder = new BodyDecoder();
  let [rest, head, body] = [Buffer.alloc(0) as Buffer, undefined as ReturnType<typeof parseResponseHead> | undefined, ""];
  const sink = { piece: (piece: Buffer, from: number, to: number, text?: string) => void (body += partOf(piece, from, to, text)) };
  try {
    for (const piece of pieces) {
      const bytes = head ? piece : Buffer.concat([rest, piece]);
      const text = once ? bytes.toString("latin1") : undefined;
      let start = 0;
      for (let end = head ? -1 : bytes.indexOf(END_OF_HEAD); end !== -1 && !head; end = bytes.indexOf(END_OF_HEAD, start)) {
        const read = once
          ? parseResponseHead(text ?? "", "GET", start, end + 4)
          : parseResponseHead(bytes.toString("latin1", start, end + 4), "GET");
        start = end + 4;
        if (read.status < 200) continue;
        head = read;
        decoder.begin(read.framing);
      }
      if (head) decoder.decode(bytes, start, sink, text);
      else rest = bytes.subarray(start);
    }
  } catch {
    return undefined;
  }
  if (!head || (!decoder.done && !decoder.untilClose)) return undefined;
  return { first: String(head.status), fields: head.headers.fields, body, trailers: trailersOf(decoder.trailers) };
}

function partOf(bytes: Buffer, from: number, to: number, text: string | undefined): string {
  return text === undefined ? bytes.toString("latin1", from, to) : text.slice(from, to);
}

function trailersOf(lines: string): readonly (readonly [string, string])[] {
  return lines === "" ? [] : scanFields(`${lines}\r\n`, 0, lines.length + 2, 100).fields;
}

/** What Node's client understands of it. */
function answerByNode(bytes: Buffer, accept: (message: Message) => void): Wire {
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
      .on("end", () =>
        accept({ first: String(message.statusCode), fields: pairs(message.rawHeaders), body, trailers: pairs(message.rawTrailers) }),
      );
  });
  outgoing.end();
  setImmediate(() => {
    wire.feed(bytes);
    wire.push(null);
  });
  return wire;
}

test(`of ${CONNECTIONS / 2} random answers none is read that Node's strict parser does not read the same way`, async (t) => {
  const dice = toDice(t);
  let read = 0;
  for (let done = 0; done < CONNECTIONS / 2; done += BATCH) {
    const batch = Array.from({ length: BATCH }, () => {
      const text = makeResponse(dice);
      const bytes = Buffer.from(text, "latin1");
      const [ours, whole] = [readAnswer(cut(bytes, dice), dice.roll(2) === 0), readAnswer([bytes], true)];
      const entry = { text, ours, whole, theirs: undefined as Message | undefined, wire: undefined as Wire | undefined };
      entry.wire = answerByNode(bytes, (message) => {
        entry.theirs = message;
      });
      return entry;
    });
    for (let i = 0; i < 10; i++) await turn();
    for (const { text, ours, whole, theirs, wire } of batch) {
      wire?.destroy();
      if (!isEqual(ours, whole)) assert.deepEqual(ours, whole, JSON.stringify(text));
      if (!ours) continue;
      read++;
      if (!isSame(ours, theirs)) assert.deepEqual(ours, theirs, JSON.stringify(text));
    }
    tell(done + BATCH, `${read} answers were read`);
  }
  assert.ok(read > CONNECTIONS / 12, `${read} were read`);
  t.diagnostic(`${read} answers were read`);
});
