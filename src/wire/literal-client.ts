import { Pool } from "undici";
import { WebSocket } from "ws";
import { Fault } from "../kernel/index.ts";

const TIMEOUT_MS = 60_000;
const CONNECTIONS_MAX = 4;

/** A request whose target and fields go out as they stand, in this order, repeated or misspelled as they may be. */
export interface LiteralRequest {
  readonly method: string;
  readonly target: string;
  readonly fields: readonly (readonly [name: string, value: string])[];
  readonly body?: string;
  /** With it a WebSocket is opened by the request. */
  readonly socket?: LiteralTalk;
}

/** What is said over a WebSocket, message by message. */
export interface LiteralTalk {
  readonly messages: readonly string[];
  /** Whether this ends the answer to a message: only then the next one goes out. */
  readonly isLast: (text: string) => boolean;
}

/** The whole answer. Of a WebSocket that was opened (101): the messages that came, a line each. */
export interface LiteralAnswer {
  readonly status: number;
  readonly fields: readonly (readonly [name: string, value: string])[];
  readonly body: Uint8Array;
}

/** Speaks to one server as no well-behaved client does: for finding out how it takes that. */
export interface LiteralClient {
  /** Throws `upstream_unreachable` when no whole answer comes. */
  send(request: LiteralRequest): Promise<LiteralAnswer>;
  close(): Promise<void>;
}

/** A client for the server at this origin. */
export function createLiteralClient(origin: string): LiteralClient {
  const pool = new Pool(new URL(origin).origin, { connections: CONNECTIONS_MAX, headersTimeout: TIMEOUT_MS, bodyTimeout: TIMEOUT_MS });
  return {
    async send({ method, target, fields, body, socket }) {
      try {
        if (socket) return await talk(new URL(target, origin), fields, socket);
        const answer = await pool.request({ method, path: target, headers: fields.flat(), body: body ?? null, responseHeaders: "raw" });
        const bytes = new Uint8Array(await answer.body.arrayBuffer());
        return { status: answer.statusCode, fields: pairs(answer.headers), body: bytes };
      } catch (cause) {
        const reason = cause instanceof Error ? cause.message : String(cause);
        const detail = `${origin} gave no whole answer: ${reason}.`;
        throw new Fault("upstream_unreachable", detail, { cause, public: { detail } });
      }
    },
    close: () => pool.close(),
  };
}

/** Ends with the answer to the last message, with the peer's close, or with a refused handshake, which is an answer like any other. */
async function talk(url: URL, fields: LiteralRequest["fields"], { messages, isLast }: LiteralTalk): Promise<LiteralAnswer> {
  const named = [...Map.groupBy(fields, ([name]) => name)];
  const headers = Object.fromEntries(named.map(([name, all]) => [name, all.map(([, value]) => value)]));
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  // its type knows one value to a field; Node's client, which it hands them to, takes lists
  const socket = new WebSocket(url, {
    headers: headers as unknown as Record<string, string>,
    perMessageDeflate: false,
    handshakeTimeout: TIMEOUT_MS,
  });
  const waiting = [...messages];
  const came: string[] = [];
  let opened: LiteralAnswer["fields"] = [];
  try {
    return await new Promise((resolve, reject) => {
      const next = (): void => {
        const message = waiting.shift();
        if (message === undefined) socket.close();
        else socket.send(message);
      };
      socket.on("upgrade", ({ rawHeaders }) => (opened = pairs(rawHeaders)));
      socket.on("open", next);
      socket.on("message", (data: Buffer) => {
        came.push(data.toString("utf8"));
        if (isLast(data.toString("utf8"))) next();
      });
      socket.on("close", () => resolve({ status: 101, fields: opened, body: Buffer.from(came.join("\n")) }));
      socket.on("unexpected-response", (_request, answer) => {
        answer
          .toArray()
          .then(
            (pieces: Buffer[]) =>
              resolve({ status: answer.statusCode ?? 0, fields: pairs(answer.rawHeaders), body: Buffer.concat(pieces) }),
            reject,
          );
      });
      socket.on("error", reject);
      AbortSignal.timeout(TIMEOUT_MS).addEventListener("abort", () => reject(new Error("a message was not answered in time")));
    });
  } finally {
    socket.terminate();
  }
}

/** Raw fields are a list of names and values by turns; the type of the client says otherwise. */
function pairs(raw: unknown): readonly (readonly [string, string])[] {
  const texts = Array.isArray(raw) ? raw.map((each: unknown) => (Buffer.isBuffer(each) ? each.toString("latin1") : String(each))) : [];
  return texts.flatMap((name, at) => (at % 2 === 0 ? [[name, texts[at + 1] ?? ""] as const] : []));
}
