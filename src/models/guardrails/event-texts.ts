import type { StreamEvent } from "../meter/event-stream.ts";
import { isFields, parseData } from "../protocols/openai-parts.ts";
import type { Span } from "./personal-data.ts";

/** One text of an event, and the way to put another there. */
interface Piece {
  readonly text: string;
  readonly put: (text: string) => void;
}

/** A text that comes in pieces, over any number of events. */
export interface Channel {
  /** Where in its event it stands, for example `choices.0.delta.content`. */
  readonly path: string;
  /** The type of its events; empty where they have none. */
  readonly of: string;
  readonly pieces: readonly Piece[];
  readonly text: string;
}

const NO_TEXT: ReadonlySet<string> = new Set(["type", "role", "id", "object", "model", "item_id"]);
const DEPTH_MAX = 64;
/** Members of an event that say which of several texts goes on. */
const WHICH = ["type", "index", "output_index", "content_index", "summary_index", "item_id"] as const;

/** The events of a stream that is whole, with its texts put together again. */
export class EventTexts {
  readonly channels: readonly Channel[];
  readonly #events: readonly { readonly event: StreamEvent; readonly value: Readonly<Record<string, unknown>> | undefined }[];
  #isChanged = false;

  constructor(events: readonly StreamEvent[]) {
    const channels = new Map<string, { path: string; of: string; pieces: Piece[] }>();
    this.#events = events.map((event, at) => {
      const value = parseData(event.data);
      if (!value) return { event, value };
      const which = JSON.stringify(WHICH.map((name) => value[name] ?? null));
      this.#walk(value, "", 0, (path, piece) => {
        // what is no part of a longer text is whole in its event
        const key = /(?:^|\.)delta(?:\.|$)/.test(path) ? `${which} ${path}` : `${at} ${path}`;
        const known = channels.get(key) ?? { path, of: typeof value["type"] === "string" ? value["type"] : "", pieces: [] };
        known.pieces.push(piece);
        channels.set(key, known);
      });
      return { event, value };
    });
    this.channels = [...channels.values()].map((channel) => ({ ...channel, text: channel.pieces.map(({ text }) => text).join("") }));
  }

  /** The events as they came, but for those of which a text was changed. */
  bytes(): Uint8Array {
    return Buffer.concat(
      this.#events.map(({ event, value }) => {
        if (!this.#isChanged || !value) return event.raw;
        const name = event.name === "" ? "" : `event: ${event.name}\n`;
        return Buffer.from(`${name}data: ${JSON.stringify(value)}\n\n`);
      }),
    );
  }

  #walk(value: unknown, path: string, depth: number, found: (path: string, piece: Piece) => void): void {
    if (typeof value !== "object" || value === null || depth > DEPTH_MAX) return;
    const fields = value as Record<string, unknown>; // of a list, too: its places are its names
    for (const [name, each] of Object.entries(fields)) {
      if (NO_TEXT.has(name)) continue;
      const step = isFields(each) && Array.isArray(value) && typeof each["index"] === "number" ? String(each["index"]) : name;
      const to = path === "" ? step : `${path}.${step}`;
      if (typeof each !== "string") this.#walk(each, to, depth + 1, found);
      else {
        found(to, {
          text: each,
          put: (text) => {
            fields[name] = text;
            this.#isChanged = true;
          },
        });
      }
    }
  }
}

/** Puts the masks of these spans into the pieces that they lie over: each mask where its span begins. */
export function maskChannel({ pieces }: Channel, spans: readonly Span[]): void {
  let start = 0;
  let first = 0;
  for (const { text, put } of pieces) {
    const end = start + text.length;
    while ((spans[first]?.end ?? Infinity) <= start) first++;
    const made = masked(text, start, spans, first);
    if (made !== text) put(made);
    start = end;
  }
}

/** A text that begins at this place of the one that the spans are of; spans before the first lie before it. */
export function masked(text: string, start: number, spans: readonly Span[], first = 0): string {
  const end = start + text.length;
  let made = "";
  let at = start;
  for (let place = first; place < spans.length; place++) {
    const span = spans[place];
    if (!span || span.start >= end) break;
    if (span.end <= start) continue;
    made += text.slice(at - start, Math.max(at, span.start) - start);
    if (span.start >= start) made += span.mask;
    at = Math.min(end, span.end);
  }
  return made + text.slice(at - start);
}
