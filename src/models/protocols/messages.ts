import { SERVER_SENT, type StreamEvent } from "../meter/event-stream.ts";
import { readAnthropicUsage, type ReportedUsage } from "../meter/usage.ts";
import { isFields, parseData, textBytes } from "./openai-parts.ts";
import { type KeptIds, mentions, namesKept, standsAt } from "./kept-ids.ts";
import type { Protocol, StreamReader } from "./protocol.ts";
import { anthropicRefusal, anthropicType, messageOf } from "./refusals.ts";

/** Ids in a block of an answer: of files that were made by code, were put into its container, or are cited. */
const BLOCK = ["file_id", "content.content[].file_id", "citations[].file_id"];
const blockAt = (path: string): string[] => BLOCK.map((name) => `${path}.${name}`);

const inWhole = standsAt("id", "container.id", ...blockAt("content[]"));
const inEvent = standsAt(
  "message.id",
  "message.container.id",
  ...blockAt("message.content[]"),
  "delta.container.id",
  "delta.citation.file_id",
  ...blockAt("content_block"),
);

/** Members of requests whose answers say what was kept; ids of answers are asked for only by `diagnostics`. */
const WANTING = ["container", "diagnostics"] as const;
/** The provider's own tools and files, which keep what they make. */
const KEEPING = /code_execution|container|file_id/;

const keptIds: KeptIds = {
  inRequest(place) {
    const { top, name, depth, levels } = place;
    if (top === "container" && (depth === 1 || (depth === 2 && name === "id"))) return true;
    // what tools are called with is the model's own making: the member `input` of a block
    if (top === "messages" && levels[4]?.name === "input") return false;
    return namesKept(place);
  },
  inAnswer: (place, isStream) => (isStream ? inEvent : inWhole)(place),
  expects: ({ members, body }) => WANTING.some((name) => members.has(name)) || mentions(body, KEEPING),
};

/** Anthropic's Messages. */
export const messages: Protocol = {
  name: "messages",
  path: () => "/messages",
  members: ["model", "stream", "max_tokens", "metadata"],
  outputMembers: ["max_tokens"],
  callerNames: ["metadata.user_id"],
  keptIds,
  passed: ["accept", "anthropic-version", "anthropic-beta"],
  needed: { "anthropic-version": "2023-06-01" },
  readUsage: readAnthropicUsage,
  askForUsage: () => undefined,
  streams: SERVER_SENT,
  createReader: () => new MessagesReader(),
  endOfStream(fault, { input, output }) {
    const usage = { input_tokens: input, output_tokens: output };
    const delta = { type: "message_delta", delta: { stop_reason: null, stop_sequence: null }, usage };
    const error = { type: "error", error: { type: anthropicType(fault), message: messageOf(fault), code: fault.code } };
    return `event: message_delta\ndata: ${JSON.stringify(delta)}\n\nevent: error\ndata: ${JSON.stringify(error)}\n\n`;
  },
  refusal: anthropicRefusal,
};

class MessagesReader implements StreamReader {
  /** What was said so far: the prompt's tokens at the beginning, the answer's at the end. */
  #said: Readonly<Record<string, unknown>> | undefined;
  pieces = 0;
  bytes = 0;
  complete = false;

  get ended(): boolean {
    return this.complete;
  }

  get usage(): ReportedUsage {
    // the beginning counts an answer of one or two tokens, which is not what was used
    return this.complete ? readAnthropicUsage(this.#said) : { kind: "missing" };
  }

  read({ data }: StreamEvent): { readonly hide: boolean } {
    const event = parseData(data);
    if (!event) return { hide: false };
    const { type, message, delta, usage } = event;
    if (type === "content_block_delta") {
      const bytes = textBytes(delta);
      if (bytes > 0) this.pieces++;
      this.bytes += bytes;
    }
    if (type === "message_start" && isFields(message) && isFields(message["usage"])) this.#said = message["usage"];
    if (type === "message_delta" && isFields(usage)) {
      // what is null there was said at the beginning
      this.#said = { ...this.#said, ...Object.fromEntries(Object.entries(usage).filter(([, count]) => count !== null)) };
      this.complete = true;
    }
    return { hide: false };
  }
}
