import type {
  LanguageModelV4FinishReason,
  LanguageModelV4GenerateResult,
  LanguageModelV4StreamPart,
  LanguageModelV4Usage,
} from "@ai-sdk/provider";
import { isFields } from "../protocols/openai-parts.ts";
import type { AnswerShape, Told } from "./answer-shape.ts";

/** Answers as Chat Completions has them. */
export const toChat: AnswerShape = {
  whole({ id, model, createdMs }, { content, finishReason, usage }) {
    const text = content.flatMap((part) => (part.type === "text" ? [part.text] : [])).join("");
    const calls = content.flatMap((part) =>
      part.type === "tool-call"
        ? [{ id: part.toolCallId, type: "function", function: { name: part.toolName, arguments: part.input } }]
        : [],
    );
    const message = {
      role: "assistant",
      content: text === "" ? null : text,
      refusal: null,
      ...(calls.length > 0 && { tool_calls: calls }),
    };
    const choice = { index: 0, message, logprobs: null, finish_reason: reasonOf(finishReason) };
    const created = Math.floor(createdMs / 1_000);
    return { id: `chatcmpl-${id}`, object: "chat.completion", created, model, choices: [choice], usage: usageOf(usage) };
  },
  createEvents: (told, request) => new ChatEvents(told, request["stream_options"]),
};

class ChatEvents {
  readonly #told: Told;
  readonly #wantsUsage: boolean;
  /** Calls of tools by their ids, in the order in which they came. */
  readonly #calls: string[] = [];

  constructor(told: Told, options: unknown) {
    this.#told = told;
    this.#wantsUsage = isFields(options) && options["include_usage"] === true;
  }

  begin(): string {
    return this.#chunk({ role: "assistant", content: "" });
  }

  event(part: LanguageModelV4StreamPart): string {
    switch (part.type) {
      case "text-delta":
        return part.delta === "" ? "" : this.#chunk({ content: part.delta });
      case "tool-input-start":
        return this.#call(part.id, part.toolName, "");
      case "tool-input-delta":
        return this.#chunk({ tool_calls: [{ index: this.#calls.indexOf(part.id), function: { arguments: part.delta } }] });
      case "tool-call":
        return this.#calls.includes(part.toolCallId) ? "" : this.#call(part.toolCallId, part.toolName, part.input);
      case "finish":
        return this.#finish(part.finishReason, part.usage);
      default:
        return ""; // has no place in this protocol
    }
  }

  #call(id: string, name: string, input: string): string {
    const index = this.#calls.push(id) - 1;
    return this.#chunk({ tool_calls: [{ index, id, type: "function", function: { name, arguments: input } }] });
  }

  #finish(reason: LanguageModelV4FinishReason, usage: LanguageModelV4Usage): string {
    const total = this.#wantsUsage ? this.#data({ choices: [], usage: usageOf(usage) }) : "";
    return `${this.#chunk({}, reasonOf(reason))}${total}data: [DONE]\n\n`;
  }

  #chunk(delta: object, reason: string | null = null): string {
    const choices = [{ index: 0, delta, logprobs: null, finish_reason: reason }];
    return this.#data({ choices, ...(this.#wantsUsage && { usage: null }) });
  }

  #data(members: object): string {
    const { id, model, createdMs } = this.#told;
    const created = Math.floor(createdMs / 1_000);
    return `data: ${JSON.stringify({ id: `chatcmpl-${id}`, object: "chat.completion.chunk", created, model, ...members })}\n\n`;
  }
}

function reasonOf({ unified }: LanguageModelV4GenerateResult["finishReason"]): string {
  if (unified === "length") return "length";
  if (unified === "tool-calls") return "tool_calls";
  return unified === "content-filter" ? "content_filter" : "stop";
}

function usageOf({ inputTokens, outputTokens }: LanguageModelV4Usage): object {
  const [input, output] = [inputTokens.total ?? 0, outputTokens.total ?? 0];
  return {
    prompt_tokens: input,
    completion_tokens: output,
    total_tokens: input + output,
    prompt_tokens_details: { cached_tokens: inputTokens.cacheRead ?? 0 },
  };
}
