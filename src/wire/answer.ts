import type { Answer, HeaderEdit } from "./http.ts";
import type { WireExchange } from "./exchange.ts";
import { FieldEdit } from "./http1/field-edit.ts";
import { NO_FIELDS } from "./http1/fields.ts";

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
/** How much of a large body is handed over at a time. */
const PIECE_BYTES = 64 * 1024;

/** The fields of an answer. Throws when it cannot be sent as it is: a status of no meaning, or a field that would break out of its line. */
export function toFields(answer: Answer): HeaderEdit {
  if (!Number.isInteger(answer.status) || answer.status < 200 || answer.status > 599)
    throw new Error(`${answer.status} is not a final status`);
  const fields = new FieldEdit(NO_FIELDS);
  for (const name in answer.headers) {
    if (CONNECTION_FIELDS.has(name) || CONNECTION_FIELDS.has(name.toLowerCase())) continue;
    const value = answer.headers[name];
    if (typeof value === "string") fields.add(name, value);
    else if (value) for (const one of value) fields.add(name, one);
  }
  return fields;
}

/** Ends what the answer would have streamed, so that its source is released. What the source says to that interests nobody any more. */
export async function discard(answer: Answer): Promise<void> {
  const { body } = answer;
  try {
    if (isStream(body)) await body[Symbol.asyncIterator]().return?.();
  } catch {
    // the source failed while being stopped
  }
}

/** The bytes of a body that is whole; text becomes UTF-8. */
export function toBytes(body: Uint8Array | string | undefined): Uint8Array {
  return typeof body === "string" ? Buffer.from(body, "utf8") : (body ?? new Uint8Array());
}

/** Whether the body is made while it is sent. */
export function isStream(body: Answer["body"]): body is AsyncIterable<Uint8Array | string> {
  return typeof body === "object" && Symbol.asyncIterator in body;
}

/** A large body in memory, handed over as the caller takes it: a caller that takes some now and then is not taken for one that takes nothing. */
export class WholeAnswer {
  readonly #exchange: WireExchange;
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(exchange: WireExchange, bytes: Uint8Array) {
    this.#exchange = exchange;
    this.#bytes = bytes;
  }

  onDrain(): void {
    const { port } = this.#exchange;
    do {
      const end = Math.min(this.#bytes.length, this.#at + PIECE_BYTES);
      port.write(this.#bytes.subarray(this.#at, end));
      this.#exchange.bytesOut += end - this.#at;
      this.#at = end;
      if (end === this.#bytes.length) return this.#exchange.finish();
    } while (port.flush());
  }

  abort(): void {
    this.#at = this.#bytes.length;
  }
}

/**
 * An answer that is made while it is sent. It is read only as fast as the caller takes it, and its source is told to stop when the caller
 * goes. A source that throws ends in a reset, so that what arrived never looks whole.
 */
export class StreamAnswer {
  readonly #exchange: WireExchange;
  readonly #iterator: AsyncIterator<Uint8Array | string>;
  readonly #bytes: number | undefined;
  #aborted = false;
  #wake: (() => void) | undefined;

  /** `bytes`: what was announced. */
  constructor(exchange: WireExchange, body: AsyncIterable<Uint8Array | string>, bytes: number | undefined) {
    this.#bytes = bytes;
    this.#exchange = exchange;
    this.#iterator = body[Symbol.asyncIterator]();
  }

  start(): void {
    this.#exchange.port.flush();
    this.#run().catch(() => this.#exchange.port.reset());
  }

  onDrain(): void {
    this.#wake?.();
  }

  abort(): void {
    this.#aborted = true;
    this.#wake?.();
    this.#stop();
  }

  async #run(): Promise<void> {
    try {
      while (!this.#aborted) {
        const step = await this.#iterator.next();
        if (this.#aborted) return;
        if (step.done === true) return this.#end();
        if (step.value.length > 0 && !this.#write(step.value)) await this.#drained();
      }
    } catch {
      // the status line is out: the only honest thing left is a connection that visibly broke
      if (!this.#aborted) this.#exchange.port.reset();
    } finally {
      this.#stop();
    }
  }

  #end(): void {
    if (this.#bytes === undefined || this.#exchange.bytesOut === this.#bytes) this.#exchange.finish();
    else this.#exchange.port.reset();
  }

  #write(piece: Uint8Array | string): boolean {
    const bytes = toBytes(piece);
    if (this.#bytes !== undefined && this.#exchange.bytesOut + bytes.length > this.#bytes) throw new Error("more than was announced");
    this.#exchange.bytesOut += bytes.length;
    this.#exchange.port.write(bytes);
    return this.#exchange.port.flush();
  }

  #drained(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }

  /** While next() waits for an upstream that stays silent, nothing else would tell the source that the caller went. */
  #stop(): void {
    Promise.resolve(this.#iterator.return?.()).catch(() => undefined); // its answer interests nobody any more
  }
}
