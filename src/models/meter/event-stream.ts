/** One event of a stream, with the bytes that it was sent as. */
export interface StreamEvent {
  readonly name: string;
  readonly data: string;
  readonly raw: Uint8Array;
}

/** The longest event. What is longer is not held. */
export const EVENT_BYTES_MAX = 8 * 1024 * 1024;
const LINE_FEED = 10;
const CARRIAGE_RETURN = 13;
const SPACE = 0x20;
const NOTHING = Buffer.alloc(0);

/** Takes a stream apart while it goes by. Bytes that belong to no complete event yet are held. */
export interface EventSplitter {
  /** The events that are complete with these bytes, and the bytes themselves. Throws `RangeError` when one is too long. */
  push(piece: Uint8Array): { readonly events: readonly StreamEvent[]; readonly bytes: Uint8Array };
  /** What is left at the end: no event, as nothing closed it. */
  rest(): Uint8Array;
}

/** Server-sent events (HTML, 9.2.6). */
export class ServerSentSplitter implements EventSplitter {
  #held: Buffer = NOTHING;

  push(piece: Uint8Array): { readonly events: readonly StreamEvent[]; readonly bytes: Uint8Array } {
    const bytes = this.#held.length === 0 ? Buffer.from(piece.buffer, piece.byteOffset, piece.length) : Buffer.concat([this.#held, piece]);
    const events: StreamEvent[] = [];
    let begin = 0;
    let line = 0;
    for (let end = bytes.indexOf(LINE_FEED); end !== -1; end = bytes.indexOf(LINE_FEED, line)) {
      const isBlank = end === line || (end === line + 1 && bytes[line] === CARRIAGE_RETURN);
      line = end + 1;
      if (!isBlank) continue;
      events.push(toEvent(bytes.subarray(begin, line)));
      begin = line;
    }
    this.#held = begin === bytes.length ? NOTHING : Buffer.from(bytes.subarray(begin));
    if (this.#held.length > EVENT_BYTES_MAX) throw new RangeError(`an event over ${EVENT_BYTES_MAX} bytes`);
    return { events, bytes: bytes.subarray(0, begin) };
  }

  rest(): Uint8Array {
    return this.#held;
  }
}

/** How most protocols stream. */
export const SERVER_SENT = { type: "text/event-stream", createSplitter: (): EventSplitter => new ServerSentSplitter() } as const;

function toEvent(raw: Buffer): StreamEvent {
  const text = raw.toString("utf8");
  let name = "";
  let data: string | undefined;
  for (let start = 0; start < text.length;) {
    const feed = text.indexOf("\n", start);
    const next = feed === -1 ? text.length : feed + 1;
    const end = feed === -1 ? next : feed > start && text.charCodeAt(feed - 1) === CARRIAGE_RETURN ? feed - 1 : feed;
    if (text.startsWith("data:", start)) {
      const value = text.slice(text.charCodeAt(start + 5) === SPACE ? start + 6 : start + 5, end);
      data = data === undefined ? value : `${data}\n${value}`;
    } else if (text.startsWith("event:", start)) name = text.slice(start + 6, end).trim();
    start = next;
  }
  return { name, data: data ?? "", raw };
}
