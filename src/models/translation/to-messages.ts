import type { LanguageModelV4FinishReason, LanguageModelV4StreamPart, LanguageModelV4Usage } from "@ai-sdk/provider";
import { parseData } from "../protocols/openai-parts.ts";
import type { AnswerShape, Told } from "./answer-shape.ts";

/** Answers as Messages has them. */
export const toMessages: AnswerShape = {
  whole({ id, model }, { content, finishReason, usage }) {
    const blocks = content.flatMap((part): object[] => {
      if (part.type === "text") return [{ type: "text", text: part.text }];
      if (part.type !== "tool-call") return [];
      return [{ type: "tool_use", id: part.toolCallId, name: part.toolName, input: parseData(part.input) ?? {} }];
    });
    const said = { content: blocks, stop_reason: reasonOf(finishReason), stop_sequence: null, usage: usageOf(usage) };
    return { id: `msg_${id}`, type: "message", role: "assistant", model, ...said };
  },
  createEvents: (told) => new MessageEvents(told),
};

class MessageEvents {
  readonly #told: Told;
  /** The block that is open: what its part is called, and its place. */
  #open: string | undefined;
  #index = -1;
  readonly #calls = new Set<string>();

  constructor(told: Told) {
    this.#told = told;
  }

  begin(): string {
    const { id, model } = this.#told;
    const said = { content: [], stop_reason: null, stop_sequence: null, usage: { input_tokens: 0, output_tokens: 0 } };
    return named({ type: "message_start", message: { id: `msg_${id}`, type: "message", role: "assistant", model, ...said } });
  }

  event(part: LanguageModelV4StreamPart): string {
    switch (part.type) {
      case "text-delta":
        // an empty piece would open a block that nothing follows in
        if (part.delta === "") return "";
        return this.#piece(`text ${part.id}`, { type: "text", text: "" }, { type: "text_delta", text: part.delta });
      case "tool-input-start":
        this.#calls.add(part.id);
        return this.#enter(part.id, { type: "tool_use", id: part.id, name: part.toolName, input: {} });
      case "tool-input-delta":
        return named({ type: "content_block_delta", index: this.#index, delta: { type: "input_json_delta", partial_json: part.delta } });
      case "tool-call":
        return this.#calls.has(part.toolCallId) ? "" : this.#call(part.toolCallId, part.toolName, part.input);
      case "finish":
        return this.#finish(part.finishReason, part.usage);
      default:
        return ""; // has no place in this protocol
    }
  }

  #call(id: string, name: string, input: string): string {
    return this.#piece(id, { type: "tool_use", id, name, input: {} }, { type: "input_json_delta", partial_json: input });
  }

  #piece(key: string, block: object, delta: object): string {
    const entered = this.#enter(key, block);
    return entered + named({ type: "content_block_delta", index: this.#index, delta });
  }

  #enter(key: string, block: object): string {
    if (this.#open === key) return "";
    const left = this.#leave();
    this.#open = key;
    return left + named({ type: "content_block_start", index: ++this.#index, content_block: block });
  }

  #leave(): string {
    if (this.#open === undefined) return "";
    this.#open = undefined;
    return named({ type: "content_block_stop", index: this.#index });
  }

  #finish(reason: LanguageModelV4FinishReason, usage: LanguageModelV4Usage): string {
    const delta = { stop_reason: reasonOf(reason), stop_sequence: null };
    return this.#leave() + named({ type: "message_delta", delta, usage: usageOf(usage) }) + named({ type: "message_stop" });
  }
}

function named(event: Readonly<Record<string, unknown>> & { readonly type: string }): string {
  return `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`;
}

function reasonOf({ unified }: LanguageModelV4FinishReason): string {
  if (unified === "length") return "max_tokens";
  if (unified === "tool-calls") return "tool_use";
  return unified === "content-filter" ? "refusal" : "end_turn";
}

/** What the cache gave is counted apart in this protocol. */
function usageOf({ inputTokens, outputTokens }: LanguageModelV4Usage): object {
  const read = inputTokens.cacheRead ?? 0;
  return {
    input_tokens: Math.max(0, (inputTokens.total ?? 0) - read),
    output_tokens: outputTokens.total ?? 0,
    cache_creation_input_tokens: 0,
    cache_read_input_tokens: read,
  };
}
