import type { LanguageModelV4FinishReason, LanguageModelV4StreamPart, LanguageModelV4Usage } from "@ai-sdk/provider";
import type { AnswerShape, Asked, Told } from "./answer-shape.ts";

/** Answers as Responses has them. They are kept nowhere: no later request can go on from their ids. */
export const toResponses: AnswerShape = {
  whole(told, { content, finishReason, usage }, request) {
    const items = new Items(told.id);
    for (const part of content) {
      if (part.type === "text") items.add({ type: "message", text: part.text });
      else if (part.type === "tool-call") items.add({ type: "function_call", id: part.toolCallId, name: part.toolName, text: part.input });
    }
    return responseOf(told, request, { ...endOf(finishReason), output: items.all.map(doneItem), usage: usageOf(usage) });
  },
  createEvents: (told, request) => new ResponseEvents(told, request),
};

/** One item of the answer, as far as it has come. */
type Item = { readonly itemId: string; text: string } & (
  | { readonly type: "message" }
  | { readonly type: "function_call"; readonly id: string; readonly name: string }
);
type NewItem =
  | { readonly type: "message"; text: string }
  | { readonly type: "function_call"; readonly id: string; readonly name: string; text: string };

class Items {
  readonly all: Item[] = [];
  readonly #id: string;

  constructor(id: string) {
    this.#id = id;
  }

  add(item: NewItem): Item {
    const made = { ...item, itemId: `${item.type === "message" ? "msg" : "fc"}_${this.#id}_${this.all.length}` };
    this.all.push(made);
    return made;
  }
}

class ResponseEvents {
  readonly #told: Told;
  readonly #request: Asked;
  readonly #items: Items;
  readonly #calls = new Set<string>();
  /** The item that is open, and what its part is called. */
  #open: { readonly key: string; readonly item: Item } | undefined;
  #sequence = 0;

  constructor(told: Told, request: Asked) {
    this.#told = told;
    this.#request = request;
    this.#items = new Items(told.id);
  }

  begin(): string {
    const response = responseOf(this.#told, this.#request, { status: "in_progress", incomplete_details: null, output: [], usage: null });
    return this.#event("response.created", { response }) + this.#event("response.in_progress", { response });
  }

  event(part: LanguageModelV4StreamPart): string {
    switch (part.type) {
      case "text-delta":
        return part.delta === "" ? "" : this.#enter(`text ${part.id}`, { type: "message", text: "" }) + this.#piece(part.delta);
      case "tool-input-start":
        this.#calls.add(part.id);
        return this.#enter(part.id, { type: "function_call", id: part.id, name: part.toolName, text: "" });
      case "tool-input-delta":
        return this.#piece(part.delta);
      case "tool-call":
        if (this.#calls.has(part.toolCallId)) return "";
        return (
          this.#enter(part.toolCallId, { type: "function_call", id: part.toolCallId, name: part.toolName, text: "" }) +
          this.#piece(part.input)
        );
      case "finish":
        return this.#leave() + this.#finish(part.finishReason, part.usage);
      default:
        return ""; // has no place in this protocol
    }
  }

  #enter(key: string, made: NewItem): string {
    if (this.#open?.key === key) return "";
    const left = this.#leave();
    const item = this.#items.add(made);
    this.#open = { key, item };
    const place = { output_index: this.#index };
    const added = this.#event("response.output_item.added", { ...place, item: openItem(item) });
    if (item.type !== "message") return left + added;
    return (
      left + added + this.#event("response.content_part.added", { item_id: item.itemId, ...place, content_index: 0, part: textPart("") })
    );
  }

  #piece(delta: string): string {
    const item = this.#open?.item;
    if (!item) return "";
    item.text += delta;
    const place = { item_id: item.itemId, output_index: this.#index, delta };
    if (item.type === "function_call") return this.#event("response.function_call_arguments.delta", place);
    return this.#event("response.output_text.delta", { ...place, content_index: 0, logprobs: [] });
  }

  #leave(): string {
    const item = this.#open?.item;
    if (!item) return "";
    this.#open = undefined;
    const place = { item_id: item.itemId, output_index: this.#index };
    const text =
      item.type === "function_call"
        ? this.#event("response.function_call_arguments.done", { ...place, name: item.name, arguments: item.text })
        : this.#event("response.output_text.done", { ...place, content_index: 0, text: item.text, logprobs: [] }) +
          this.#event("response.content_part.done", { ...place, content_index: 0, part: textPart(item.text) });
    return text + this.#event("response.output_item.done", { output_index: this.#index, item: doneItem(item) });
  }

  #finish(reason: LanguageModelV4FinishReason, usage: LanguageModelV4Usage): string {
    const end = endOf(reason);
    const said = { ...end, output: this.#items.all.map(doneItem), usage: usageOf(usage) };
    return this.#event(`response.${end.status}`, { response: responseOf(this.#told, this.#request, said) });
  }

  get #index(): number {
    return this.#items.all.length - 1;
  }

  #event(type: string, members: object): string {
    return `event: ${type}\ndata: ${JSON.stringify({ type, sequence_number: this.#sequence++, ...members })}\n\n`;
  }
}

function textPart(text: string): object {
  return { type: "output_text", text, annotations: [], logprobs: [] };
}

function openItem(item: Item): object {
  const { itemId: id } = item;
  if (item.type === "message") return { id, type: "message", status: "in_progress", role: "assistant", content: [] };
  return { id, type: "function_call", status: "in_progress", call_id: item.id, name: item.name, arguments: "" };
}

function doneItem(item: Item): object {
  const { itemId: id, text } = item;
  if (item.type === "message") return { id, type: "message", status: "completed", role: "assistant", content: [textPart(text)] };
  return { id, type: "function_call", status: "completed", call_id: item.id, name: item.name, arguments: text };
}

/** Members of the request that an answer repeats, with what stands for one that was left out. */
const REPEATED = {
  instructions: null,
  max_output_tokens: null,
  metadata: {},
  parallel_tool_calls: true,
  temperature: null,
  text: { format: { type: "text" } },
  tool_choice: "auto",
  tools: [],
  top_p: null,
} as const;

function responseOf({ id, model, createdMs }: Told, request: Asked, said: object): object {
  return {
    id: `resp_${id}`,
    object: "response",
    created_at: Math.floor(createdMs / 1_000),
    error: null,
    model,
    ...Object.fromEntries(Object.entries(REPEATED).map(([name, otherwise]) => [name, request[name] ?? otherwise])),
    previous_response_id: null,
    reasoning: { effort: null, summary: null },
    store: false,
    truncation: "disabled",
    ...said,
  };
}

function endOf({ unified }: LanguageModelV4FinishReason): { readonly status: string; readonly incomplete_details: object | null } {
  if (unified === "length") return { status: "incomplete", incomplete_details: { reason: "max_output_tokens" } };
  if (unified === "content-filter") return { status: "incomplete", incomplete_details: { reason: "content_filter" } };
  return { status: "completed", incomplete_details: null };
}

function usageOf({ inputTokens, outputTokens }: LanguageModelV4Usage): object {
  const [input, output] = [inputTokens.total ?? 0, outputTokens.total ?? 0];
  return {
    input_tokens: input,
    input_tokens_details: { cached_tokens: inputTokens.cacheRead ?? 0 },
    output_tokens: output,
    output_tokens_details: { reasoning_tokens: outputTokens.reasoning ?? 0 },
    total_tokens: input + output,
  };
}
