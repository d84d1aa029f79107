import { once } from "node:events";
import { type IncomingMessage, type ServerResponse, STATUS_CODES, validateHeaderName, validateHeaderValue } from "node:http";
import type { Answer } from "./http.ts";

/** Fields that describe the connection and the framing (RFC 9110, 7.6.1): the wire alone knows them. */
const CONNECTION_FIELDS: ReadonlySet<string> = new Set([
  "connection",
  "content-length",
  "keep-alive",
  "proxy-connection",
  "trailer",
  "transfer-encoding",
  "upgrade",
]);

/** How one answer is to be sent. */
export interface Delivery {
  readonly message: IncomingMessage;
  readonly response: ServerResponse;
  /** Aborts when the connection ends. */
  readonly signal: AbortSignal;
  /** The connection ends after this answer. */
  readonly last: boolean;
  /** The caller is still sending a body that nobody will use. */
  readonly linger: boolean;
  readonly stallTimeoutMs: number;
  readonly lingerBytesMax: number;
  readonly lingerMs: number;
}

/** Throws when the answer cannot be sent as it is: a status of no meaning, or a field that would break out of its line. */
export function checkAnswer(answer: Answer): void {
  if (!Number.isInteger(answer.status) || answer.status < 200 || answer.status > 599)
    throw new Error(`${answer.status} is not a final status`);
  for (const [name, value] of Object.entries(answer.headers)) {
    validateHeaderName(name);
    validateHeaderValue(name, value);
  }
}

/** Ends what the answer would have streamed, so that its source is released. */
export async function discard(answer: Answer): Promise<void> {
  const { body } = answer;
  if (isStream(body)) await body[Symbol.asyncIterator]().return?.();
}

/**
 * Sends a checked answer and waits until it is handed to the connection. A stream is read only as fast as the caller takes it, and it is
 * told to stop when the caller goes. A stream that throws ends in a reset, so that what arrived never looks whole.
 */
export async function sendAnswer(answer: Answer, delivery: Delivery): Promise<void> {
  const { response, message } = delivery;
  // a write after the end of the connection reports here; the connection is gone then, which the signal tells
  response.on("error", () => response.destroy());
  response.strictContentLength = true;
  response.statusCode = answer.status;
  for (const [name, value] of Object.entries(answer.headers)) {
    if (!CONNECTION_FIELDS.has(name.toLowerCase())) response.setHeader(name, value);
  }
  if (delivery.last) response.setHeader("connection", "close");
  if (message.method === "HEAD" || answer.status === 204 || answer.status === 304) await sendHead(answer, delivery);
  else if (isStream(answer.body)) await sendStream(answer.body, delivery);
  else await sendFixed(toBytes(answer.body), delivery);
}

async function sendHead(answer: Answer, delivery: Delivery): Promise<void> {
  const length =
    isStream(answer.body) || answer.body === undefined ? answer.headers["content-length"] : String(toBytes(answer.body).length);
  if (length !== undefined && answer.status !== 204) delivery.response.setHeader("content-length", length);
  await discard(answer);
  await end(delivery);
}

async function sendFixed(bytes: Uint8Array, delivery: Delivery): Promise<void> {
  delivery.response.setHeader("content-length", bytes.length);
  if (bytes.length > 0) delivery.response.write(bytes);
  else delivery.response.flushHeaders();
  await end(delivery);
}

async function sendStream(body: AsyncIterable<Uint8Array | string>, delivery: Delivery): Promise<void> {
  const { response, signal } = delivery;
  const iterator = body[Symbol.asyncIterator]();
  // while next() waits for an upstream that stays silent, nothing else would tell the source that the caller went
  const stop = (): void => {
    Promise.resolve(iterator.return?.()).catch(() => response.destroy());
  };
  signal.addEventListener("abort", stop, { once: true });
  response.flushHeaders();
  try {
    while (!signal.aborted) {
      const step = await iterator.next();
      if (step.done === true) return await end(delivery);
      await write(step.value, delivery);
    }
  } catch {
    // the status line is out: the only honest thing left is a connection that visibly broke
    breakOff(response);
  } finally {
    signal.removeEventListener("abort", stop);
    stop();
  }
}

async function write(piece: Uint8Array | string, delivery: Delivery): Promise<void> {
  const { response, signal, stallTimeoutMs } = delivery;
  if (piece.length === 0 || response.write(piece)) return;
  // a caller that opens a stream and never reads it would hold its source for ever
  response.setTimeout(stallTimeoutMs);
  await once(response, "drain", { signal });
  response.setTimeout(0);
}

async function end(delivery: Delivery): Promise<void> {
  const { response, stallTimeoutMs } = delivery;
  if (delivery.linger) await linger(delivery);
  response.setTimeout(stallTimeoutMs);
  response.end();
}

/**
 * Reads on for a short while what the caller still sends. Closing with unread bytes makes the kernel reset the connection, and the caller
 * may lose the answer that tells it why (RFC 9112, 9.6). Bounded in bytes and time.
 */
function linger(delivery: Delivery): Promise<void> {
  const { message, signal, lingerBytesMax, lingerMs } = delivery;
  if (signal.aborted || message.complete) return Promise.resolve();
  return new Promise((resolve) => {
    let left = lingerBytesMax;
    const done = (): void => {
      clearTimeout(timer);
      message.off("data", onData).off("end", done).off("close", done);
      message.pause();
      resolve();
    };
    const onData = (piece: Buffer): void => {
      left -= piece.length;
      if (left < 0) done();
    };
    const timer = setTimeout(done, lingerMs);
    message.on("data", onData).on("end", done).on("close", done);
    message.resume();
  });
}

/** A reset and not an end: over HTTP/1.0, where the end of the connection is the end of the body, an end would look like success. */
function breakOff(response: ServerResponse): void {
  const { socket } = response;
  if (socket) socket.resetAndDestroy();
  else response.destroy();
}

/** The bytes of an answer for a connection that has no response object, always the last one on it. A stream is not sent. */
export function toBytesOnWire(answer: Answer): Uint8Array {
  const body = isStream(answer.body) ? new Uint8Array() : toBytes(answer.body);
  const fields = Object.entries(answer.headers).filter(([name]) => !CONNECTION_FIELDS.has(name.toLowerCase()));
  const lines = [
    `HTTP/1.1 ${answer.status} ${STATUS_CODES[answer.status] ?? ""}`,
    ...fields.map(([name, value]) => `${name}: ${value}`),
    `date: ${new Date().toUTCString()}`,
    `content-length: ${body.length}`,
    "connection: close",
  ];
  return Buffer.concat([Buffer.from(`${lines.join("\r\n")}\r\n\r\n`, "latin1"), body]);
}

function toBytes(body: Uint8Array | string | undefined): Uint8Array {
  return typeof body === "string" ? Buffer.from(body, "utf8") : (body ?? new Uint8Array());
}

function isStream(body: Answer["body"]): body is AsyncIterable<Uint8Array | string> {
  return typeof body === "object" && Symbol.asyncIterator in body;
}
