import { SERVER_SENT, type StreamEvent } from "../meter/event-stream.ts";
import { readOpenaiUsage, type ReportedUsage } from "../meter/usage.ts";
import { isFields, OPENAI_FIELDS, OPENAI_NAMES, parseData, textBytes } from "./openai-parts.ts";
import { type KeptIds, namesKept, standsAt } from "./kept-ids.ts";
import type { Protocol, StreamReader } from "./protocol.ts";
import { messageOf, openaiRefusal, openaiType } from "./refusals.ts";

const inWhole = standsAt("choices[].message.audio.id");
const inEvent = standsAt("choices[].delta.audio.id");

const keptIds: KeptIds = {
  inRequest(place) {
    const { name, levels } = place;
    if (levels[5]?.name === "arguments") return false; // of a tool, as the model has made them
    // what the assistant has said aloud, and voices that were made of somebody's
    if (name === "id" && ["audio", "voice"].includes(levels.at(-2)?.name ?? "")) return place.top === "messages" || place.top === "audio";
    // vLLM: what it has kept of a picture that was sent with this name before
    if (name === "uuid" && place.top === "messages") return levels[2]?.name === "content" && place.depth === 5;
    return namesKept(place);
  },
  inAnswer: (place, isStream) => (isStream ? inEvent : inWhole)(place),
  expects: ({ members }) => members.has("audio") || members.has("modalities"),
};

/** OpenAI's Chat Completions: what most providers speak. */
export const chatCompletions: Protocol = {
  name: "chat-completions",
  path: () => "/chat/completions",
  members: ["model", "stream", "stream_options", "max_completion_tokens", "max_tokens", "n", ...OPENAI_NAMES],
  outputMembers: ["max_completion_tokens", "max_tokens"],
  callerNames: OPENAI_NAMES,
  keptIds,
  passed: OPENAI_FIELDS,
  needed: {},
  readUsage: readOpenaiUsage,
  askForUsage({ stream_options: options }) {
    if (isFields(options) && options["include_usage"] === true) return undefined;
    return { stream_options: { ...(isFields(options) && options), include_usage: true } };
  },
  streams: SERVER_SENT,
  createReader: (hideUsage) => new ChatReader(hideUsage),
  endOfStream(fault, { input, output }, model) {
    const usage = { prompt_tokens: input, completion_tokens: output, total_tokens: input + output };
    const chunk = { id: "chatcmpl-ended", object: "chat.completion.chunk", created: 0, model, choices: [], usage };
    const error = { message: messageOf(fault), type: openaiType(fault), param: null, code: fault.code };
    return `data: ${JSON.stringify(chunk)}\n\ndata: ${JSON.stringify({ error })}\n\n`;
  },
  refusal: openaiRefusal,
};

class ChatReader implements StreamReader {
  readonly #hideUsage: boolean;
  usage: ReportedUsage = { kind: "missing" };
  pieces = 0;
  bytes = 0;
  complete = false;
  ended = false;

  constructor(hideUsage: boolean) {
    this.#hideUsage = hideUsage;
  }

  read({ data }: StreamEvent): { readonly hide: boolean } {
    if (data === "[DONE]") {
      this.complete = true;
      this.ended = true;
      return { hide: false };
    }
    const chunk = parseData(data);
    if (!chunk) return { hide: false };
    const choices = Array.isArray(chunk["choices"]) ? chunk["choices"] : [];
    for (const choice of choices) {
      if (!isFields(choice)) continue;
      if (typeof choice["finish_reason"] === "string") this.ended = true;
      const bytes = textBytes(choice["delta"]);
      if (bytes > 0) this.pieces++;
      this.bytes += bytes;
    }
    const said = chunk["usage"];
    if (said === undefined || said === null) return { hide: false };
    this.usage = readOpenaiUsage(said);
    return { hide: this.#hideUsage && choices.length === 0 };
  }
}
