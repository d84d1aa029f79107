import { EventStreamCodec } from "@smithy/eventstream-codec";
import { EVENT_BYTES_MAX, type EventSplitter, type StreamEvent } from "../meter/event-stream.ts";
import { readConverseUsage, type ReportedUsage } from "../meter/usage.ts";
import { isFields, parseData, textBytes } from "../protocols/openai-parts.ts";
import type { ProviderProtocol, StreamReader } from "../protocols/protocol.ts";

/** Amazon Bedrock's Converse, for all of its models. Loaded when somebody needs it. */
export const converse: ProviderProtocol = {
  path: (model, stream) => `/model/${encodeURIComponent(model)}/converse${stream ? "-stream" : ""}`,
  members: ["inferenceConfig"],
  outputMembers: ["inferenceConfig.maxTokens"],
  callerNames: [],
  passed: [],
  needed: {},
  readUsage: readConverseUsage,
  askForUsage: () => undefined,
  streams: { type: "application/vnd.amazon.eventstream", createSplitter: () => new FrameSplitter() },
  createReader: () => new ConverseReader(),
};

const LENGTH_BYTES = 4;
/** Prelude and the checksums, without which there is no frame. */
const FRAME_BYTES_MIN = 16;
const NOTHING = Buffer.alloc(0);
const CODEC = new EventStreamCodec(
  (bytes) => Buffer.from(typeof bytes === "string" ? Buffer.from(bytes) : bytes).toString("utf8"),
  (text) => Buffer.from(text, "utf8"),
);

/** The frames of AWS's event streams: each begins with its length and ends with a checksum. */
class FrameSplitter implements EventSplitter {
  #held: Buffer = NOTHING;

  /** Throws `RangeError` for a frame that is too long or none, and `Error` where a checksum does not fit. */
  push(piece: Uint8Array): { readonly events: readonly StreamEvent[]; readonly bytes: Uint8Array } {
    const bytes = this.#held.length === 0 ? Buffer.from(piece.buffer, piece.byteOffset, piece.length) : Buffer.concat([this.#held, piece]);
    const events: StreamEvent[] = [];
    let at = 0;
    while (bytes.length - at >= LENGTH_BYTES) {
      const length = bytes.readUInt32BE(at);
      if (length < FRAME_BYTES_MIN || length > EVENT_BYTES_MAX) throw new RangeError(`a frame of ${length} bytes`);
      if (bytes.length - at < length) break;
      events.push(toEvent(bytes.subarray(at, at + length)));
      at += length;
    }
    this.#held = at === bytes.length ? NOTHING : Buffer.from(bytes.subarray(at));
    return { events, bytes: bytes.subarray(0, at) };
  }

  rest(): Uint8Array {
    return this.#held;
  }
}

function toEvent(raw: Buffer): StreamEvent {
  const { headers, body } = CODEC.decode(raw);
  const name = headers[":event-type"]?.value;
  return { name: typeof name === "string" ? name : "", data: Buffer.from(body).toString("utf8"), raw };
}

class ConverseReader implements StreamReader {
  usage: ReportedUsage = { kind: "missing" };
  pieces = 0;
  bytes = 0;
  complete = false;

  get ended(): boolean {
    return this.complete;
  }

  read({ name, data }: StreamEvent): { readonly hide: boolean } {
    if (name === "contentBlockDelta") {
      const bytes = textBytes(parseData(data)?.["delta"]);
      if (bytes > 0) this.pieces++;
      this.bytes += bytes;
    } else if (name === "messageStop") this.complete = true;
    else if (name === "metadata") {
      const said = parseData(data)?.["usage"];
      if (isFields(said)) this.usage = readConverseUsage(said);
    }
    return { hide: false };
  }
}
