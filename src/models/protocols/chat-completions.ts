import { SERVER_SENT, type StreamEvent } from "../meter/event-stream.ts";
import { readOpenaiUsage, type ReportedUsage } from "../meter/usage.ts";
import { isFields, OPENAI_FIELDS, OPENAI_NAMES, parseData, textBytes } from "./openai-parts.ts";
import type { Protocol, StreamReader } from "./protocol.ts";
import { messageOf, openaiRefusal, openaiType } from "./refusals.ts";

/** OpenAI's Chat Completions: what most providers speak. */
export const chatCompletions: Protocol = {
  name: "chat-completions",
  path: () => "/chat/completions",
  members: ["model", "stream", "stream_options", "max_completion_tokens", "max_tokens", "n", ...OPENAI_NAMES],
  outputMembers: ["max_completion_tokens", "max_tokens"],
  callerNames: OPENAI_NAMES,
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
