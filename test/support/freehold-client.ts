import { once } from "node:events";
import { Agent, type IncomingHttpHeaders, type IncomingMessage, request } from "node:http";
import { connect } from "node:net";
import { WebSocket } from "ws";
import { assertHouseAnswer } from "./answer-rules.ts";
import { until } from "./until.ts";

/** Takes a copy of everything that came back. */
export type Recorder = (bytes: Uint8Array | string) => void;

/** One answer, whole. */
export class Reply {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;

  constructor(status: number, headers: IncomingHttpHeaders, body: Buffer) {
    this.status = status;
    this.headers = headers;
    this.body = body;
  }

  get text(): string {
    return this.body.toString("utf8");
  }

  /** The body as JSON of the shape that the caller names. */
  // oxlint-disable-next-line typescript/no-unnecessary-type-parameters -- the shape of an answer is named where it is read
  json<T = Record<string, unknown>>(): T {
    return JSON.parse(this.text) as T;
  }

  /** The code of a refusal, or the empty text. */
  get code(): string {
    if (this.status < 400 || this.text === "") return "";
    const { code, error } = this.json<{ code?: string; error?: { code?: string } }>();
    return String(code ?? error?.code);
  }
}

/** What is sent besides method and path. */
export interface Sending {
  readonly headers?: Readonly<Record<string, string | readonly string[]>>;
  /** Sent as JSON. */
  readonly json?: unknown;
  /** Sent as it is; the content type is in `headers`. */
  readonly body?: string | Uint8Array;
}

/** Somebody with one credential, at one port. Whatever it receives goes to the recorder, and every answer is checked against the rules of the house. */
export class Client {
  readonly url: string;
  readonly credential: Readonly<Record<string, string>>;
  readonly #record: Recorder;
  static readonly #agent = new Agent({ keepAlive: true, maxSockets: 32 });

  constructor(url: string, credential: Readonly<Record<string, string>>, record: Recorder = () => {}) {
    this.url = url;
    this.credential = credential;
    this.#record = record;
  }

  get host(): string {
    return new URL(this.url).host;
  }

  get port(): number {
    return Number(new URL(this.url).port);
  }

  async send(method: string, path: string, sending: Sending = {}): Promise<Reply> {
    const response = await this.open(method, path, sending);
    const pieces: Buffer[] = [];
    for await (const piece of response) pieces.push(piece as Buffer); // no encoding is set, so every piece is a Buffer
    const reply = new Reply(response.statusCode ?? 0, response.headers, Buffer.concat(pieces));
    this.#record(JSON.stringify([response.rawHeaders, response.rawTrailers]));
    this.#record(reply.body);
    assertHouseAnswer(reply);
    return reply;
  }

  /** The answer when its head is there; who calls reads the body. */
  async open(method: string, path: string, { headers = {}, json, body }: Sending = {}): Promise<IncomingMessage> {
    const bytes = json === undefined ? body : JSON.stringify(json);
    // without a length Node sends the body of a DELETE as it is, and it would be the next request
    const length = bytes === undefined ? {} : { "content-length": String(Buffer.byteLength(bytes)) };
    const all = { ...(json !== undefined && { "content-type": "application/json" }), ...length, ...this.credential, ...headers };
    const url = new URL(this.url);
    const outgoing = request({ host: url.hostname, port: url.port, method, path, headers: all, agent: Client.#agent });
    outgoing.end(bytes);
    const [response] = (await once(outgoing, "response")) as [IncomingMessage]; // the event's only argument
    outgoing.on("error", () => {}); // from here on the response tells
    return response;
  }

  get(path: string, sending?: Sending): Promise<Reply> {
    return this.send("GET", path, sending);
  }

  post(path: string, json: unknown, sending: Sending = {}): Promise<Reply> {
    return this.send("POST", path, { ...sending, json });
  }

  /** Asks for a stream of events; gives them as they come. */
  async stream(path: string, json: unknown, headers: Readonly<Record<string, string>> = {}): Promise<EventReader> {
    const response = await this.open("POST", path, { json, headers: { accept: "text/event-stream", ...headers } });
    return new EventReader(response, this.#record);
  }

  /** Opens a WebSocket, or gives the refusal. */
  async socket(path = "/api/chat/socket", headers: Readonly<Record<string, string>> = {}): Promise<ChatSocket | Reply> {
    const socket = new WebSocket(this.url.replace("http:", "ws:") + path, { headers: { ...this.credential, ...headers } });
    const made = new ChatSocket(socket, this.#record);
    return await new Promise((resolve, reject) => {
      socket.once("open", () => resolve(made));
      socket.once("error", reject);
      socket.once("unexpected-response", (_request, response: IncomingMessage) => {
        response.toArray().then((pieces: Buffer[]) => {
          const reply = new Reply(response.statusCode ?? 0, response.headers, Buffer.concat(pieces));
          this.#record(JSON.stringify(response.rawHeaders));
          this.#record(reply.body);
          assertHouseAnswer(reply);
          resolve(reply);
        }, reject);
      });
    });
  }

  /** Sends these bytes on a connection of their own and gives all that came back until it was closed, or until it is enough. */
  async raw(bytes: string | Uint8Array, isEnough: (received: Buffer) => boolean = () => false): Promise<string> {
    const socket = connect({ host: "127.0.0.1", port: this.port });
    socket.write(typeof bytes === "string" ? Buffer.from(bytes, "latin1") : bytes);
    const pieces: Buffer[] = [];
    try {
      for await (const piece of socket) {
        pieces.push(piece as Buffer); // no encoding is set
        if (isEnough(Buffer.concat(pieces))) break;
      }
    } catch (error) {
      // a refused request may end in a reset: what came before it counts
      if (!(error instanceof Error && "code" in error && (error.code === "ECONNRESET" || error.code === "EPIPE"))) throw error;
    }
    const received = Buffer.concat(pieces);
    this.#record(received);
    return received.toString("latin1");
  }
}

/** Reads server-sent events. */
export class EventReader {
  readonly response: IncomingMessage;
  readonly events: { readonly name: string; readonly data: Record<string, unknown> }[] = [];
  ended = false;
  #text = "";

  constructor(response: IncomingMessage, record: Recorder) {
    this.response = response;
    response.on("data", (piece: Buffer) => {
      record(piece);
      this.#read(piece.toString("utf8"));
    });
    response.on("error", () => (this.ended = true));
    response.on("close", () => (this.ended = true));
  }

  #read(text: string): void {
    this.#text += text;
    const blocks = this.#text.split("\n\n");
    this.#text = blocks.pop() ?? "";
    for (const block of blocks) {
      const [, name = "", data = "{}"] = /^event: (.*)\ndata: (.*)$/s.exec(block) ?? [];
      this.events.push({ name, data: JSON.parse(data) as Record<string, unknown> });
    }
  }

  /** The first event of this name. */
  event(name: string): Promise<{ readonly name: string; readonly data: Record<string, unknown> }> {
    return until(`an event ${name}`, () => this.events.find((event) => event.name === name));
  }
}

/** One end of a WebSocket. */
export class ChatSocket {
  readonly received: Record<string, unknown>[] = [];
  readonly #socket: WebSocket;
  closed: { readonly code: number; readonly reason: string } | undefined;

  constructor(socket: WebSocket, record: Recorder) {
    this.#socket = socket;
    socket.on("message", (data: Buffer) => {
      record(data);
      this.received.push(JSON.parse(data.toString("utf8")) as Record<string, unknown>);
    });
    socket.on("close", (code, reason: Buffer) => {
      record(reason);
      this.closed = { code, reason: reason.toString("utf8") };
    });
    socket.on("error", () => {}); // "close" follows
  }

  send(message: unknown): void {
    this.#socket.send(typeof message === "string" ? message : JSON.stringify(message));
  }

  /** The first message of this type that was not asked for before. */
  async next(type: string): Promise<Record<string, unknown>> {
    const found = await until(`a message ${type}`, () => this.received.find((message) => message["type"] === type) ?? this.closed);
    if (!("type" in found)) throw new Error(`the socket closed with ${JSON.stringify(found)}`);
    this.received.splice(this.received.indexOf(found), 1);
    return found;
  }

  close(): void {
    this.#socket.terminate();
  }
}
