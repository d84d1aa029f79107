import { upstreamInvalid } from "./upstream-invalid.ts";

/** One event of a stream. */
export interface SseEvent {
  /** `message` when the event has no name. */
  readonly name: string;
  /** The data lines joined with LF. */
  readonly data: string;
}

/** Bounds of one event stream. */
export interface SseBounds {
  readonly eventsMax: number;
  /** Bytes between two blank lines, comments and line ends included. */
  readonly eventBytesMax: number;
}

/** What an agent may send at most. */
export const SSE_BOUNDS: SseBounds = { eventsMax: 10_000, eventBytesMax: 64 * 1024 };

const LF = 0x0a;
const CR = 0x0d;

// U+FEFF is part of the text except at the very start of the stream, where it is removed by hand
const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/**
 * The events of a text/event-stream (WHATWG HTML, 9.2.6), however its bytes are cut into pieces: lines end with CR, LF or CRLF, data
 * may have several lines, comments and the fields `id` and `retry` are passed over, one leading byte order mark too.
 * Apart from the standard an event with a name but no data counts (`event: done` is a natural end mark), and bytes that are not UTF-8
 * are refused. What has no blank line behind it is no event. Throws `upstream_invalid` beyond the bounds.
 */
export async function* parseSse(chunks: AsyncIterable<Uint8Array>, bounds: SseBounds = SSE_BOUNDS): AsyncGenerator<SseEvent, void, void> {
  const lines = new LineReader(bounds.eventBytesMax);
  const block = new Block();
  let count = 0;
  for await (const chunk of chunks) {
    for (const line of lines.read(chunk)) {
      if (line !== "") {
        block.add(line);
        continue;
      }
      const event = block.take();
      lines.startEvent();
      if (!event) continue;
      if (++count > bounds.eventsMax) throw upstreamInvalid(`The agent sent more than ${bounds.eventsMax} events.`);
      yield event;
    }
  }
}

/** Collects the lines of one event. */
class Block {
  #name: string | undefined;
  #data: string[] = [];

  add(line: string): void {
    const colon = line.indexOf(":");
    if (colon === 0) return; // a comment
    const field = colon === -1 ? line : line.slice(0, colon);
    const start = line.charAt(colon + 1) === " " ? colon + 2 : colon + 1;
    const value = colon === -1 ? "" : line.slice(start);
    if (field === "data") this.#data.push(value);
    if (field === "event") this.#name = value;
  }

  take(): SseEvent | undefined {
    const name = this.#name || "message"; // an empty name is no name in the standard
    const data = this.#data;
    const empty = data.length === 0 && !this.#name;
    this.#name = undefined;
    this.#data = [];
    return empty ? undefined : { name, data: data.join("\n") };
  }
}

/** Cuts bytes into lines. It works on bytes, where CR and LF are never part of another character, so the cutting of pieces cannot matter. */
class LineReader {
  readonly #eventBytesMax: number;
  #line = Buffer.allocUnsafe(1024);
  #length = 0;
  #eventBytes = 0;
  #afterCr = false;
  #first = true;

  constructor(eventBytesMax: number) {
    this.#eventBytesMax = eventBytesMax;
  }

  /** From here on bytes count for the next event. */
  startEvent(): void {
    this.#eventBytes = 0;
  }

  *read(chunk: Uint8Array): Generator<string, void, void> {
    let start = this.#afterCr && chunk[0] === LF ? 1 : 0; // the second half of a CRLF
    for (let at = start; at < chunk.length; at++) {
      if (chunk[at] !== LF && chunk[at] !== CR) continue;
      this.#count(at + 1 - start);
      this.#append(chunk.subarray(start, at));
      yield this.#take();
      if (chunk[at] === CR && chunk[at + 1] === LF) at++;
      start = at + 1;
    }
    this.#count(chunk.length - start);
    this.#append(chunk.subarray(start));
    if (chunk.length > 0) this.#afterCr = chunk.at(-1) === CR;
  }

  #count(bytes: number): void {
    this.#eventBytes += bytes;
    if (this.#eventBytes > this.#eventBytesMax) throw upstreamInvalid(`The agent sent an event of more than ${this.#eventBytesMax} bytes.`);
  }

  #append(bytes: Uint8Array): void {
    const length = this.#length + bytes.length;
    if (length > this.#line.length) this.#line = Buffer.concat([this.#line], Math.max(length, this.#line.length * 2));
    this.#line.set(bytes, this.#length);
    this.#length = length;
  }

  #take(): string {
    const text = decode(this.#line.subarray(0, this.#length));
    this.#length = 0;
    const withMark = this.#first && text.startsWith("\uFEFF");
    this.#first = false;
    return withMark ? text.slice(1) : text;
  }
}

function decode(bytes: Uint8Array): string {
  try {
    return utf8.decode(bytes);
  } catch (cause) {
    throw upstreamInvalid("The agent's stream is not UTF-8.", cause);
  }
}
