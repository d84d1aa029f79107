import type { LanguageModelV4Message } from "@ai-sdk/provider";
import { z } from "zod";
import { isFields } from "../protocols/openai-parts.ts";
import { functionChoice, functionTool, functionTools } from "./function-tools.ts";
import {
  type CallOptions,
  filePart,
  given,
  ignored,
  joined,
  jsonSchema,
  number,
  parsed,
  readShape,
  untranslatable,
  type UserPart,
} from "./request-shape.ts";

const textPart = z.object({ type: z.enum(["input_text", "output_text"]), text: z.string() });
const part = z.discriminatedUnion("type", [
  textPart,
  z.object({ type: z.literal("input_image"), image_url: z.string() }),
  z.object({
    type: z.literal("input_file"),
    file_data: z.string().nullish(),
    file_url: z.string().nullish(),
    filename: z.string().nullish(),
  }),
]);
const item = z.discriminatedUnion("type", [
  z.object({
    type: z.literal("message"),
    role: z.enum(["user", "assistant", "system", "developer"]),
    content: z.union([z.string(), z.array(part)]),
  }),
  z.object({ type: z.literal("function_call"), call_id: z.string(), name: z.string(), arguments: z.string() }),
  z.object({ type: z.literal("function_call_output"), call_id: z.string(), output: z.union([z.string(), z.array(textPart)]) }),
  // what it holds is for whoever made it
  z.object({ type: z.literal("reasoning") }),
]);
// its type first, so that a tool of another type is refused for that
const tool = z.object({ type: z.literal("function"), ...functionTool.shape });

const shape = z.strictObject({
  model: z.string(),
  input: z.preprocess(withTypes, z.array(item).min(1)),
  instructions: z.string().nullish(),
  stream: ignored,
  stream_options: ignored,
  max_output_tokens: ignored,
  background: ignored,
  temperature: number,
  top_p: number,
  tools: z.array(tool).nullish(),
  tool_choice: z.union([functionChoice, z.object({ type: z.literal("function"), name: z.string() })]).nullish(),
  parallel_tool_calls: z.boolean().nullish(),
  text: z
    .object({
      format: z
        .discriminatedUnion("type", [
          z.object({ type: z.literal("text") }),
          z.object({ type: z.literal("json_object") }),
          z.object({ type: z.literal("json_schema"), name: z.string(), schema: jsonSchema }),
        ])
        .nullish(),
    })
    .nullish(),
  previous_response_id: z.null().optional(),
  conversation: z.null().optional(),
  prompt: z.null().optional(),
  top_logprobs: z.literal(0).nullish(),
  include: ignored,
  max_tool_calls: ignored,
  metadata: ignored,
  prompt_cache_key: ignored,
  prompt_cache_retention: ignored,
  reasoning: ignored,
  safety_identifier: ignored,
  service_tier: ignored,
  store: ignored,
  truncation: ignored,
  user: ignored,
});

type Item = z.output<typeof item>;
type Shape = z.output<typeof shape>;

/** A request of Responses. Throws `malformed_request` with what has no meaning in another protocol, such as what a provider would have to remember. */
export function fromResponses(body: unknown): CallOptions {
  const request = readShape(shape, body);
  const { input, instructions, temperature, top_p: topP, parallel_tool_calls: parallel } = request;
  const prompt = toPrompt(input);
  return {
    prompt: instructions ? [{ role: "system", content: instructions }, ...prompt] : prompt,
    ...given({ temperature, topP }),
    ...functionTools(request.tools, request.tool_choice),
    ...formatOf(request),
    ...(parallel === false && { providerOptions: { anthropic: { disableParallelToolUse: true }, openai: { parallelToolCalls: false } } }),
  };
}

/** A text is a message of the user's, and an item without a type a message. */
function withTypes(input: unknown): unknown {
  if (typeof input === "string") return [{ type: "message", role: "user", content: input }];
  if (!Array.isArray(input)) return input;
  return input.map((each: unknown) => (isFields(each) && each["type"] === undefined ? { ...each, type: "message" } : each));
}

type Said = Exclude<LanguageModelV4Message, { role: "system" }>;

function toPrompt(items: readonly Item[]): LanguageModelV4Message[] {
  const names = new Map<string, string>();
  const prompt: LanguageModelV4Message[] = [];
  for (const [at, each] of items.entries()) {
    if (each.type === "message" && (each.role === "system" || each.role === "developer"))
      prompt.push({ role: "system", content: textOf(each.content, at) });
    else {
      const said = toMessage(each, at, names);
      if (said) add(prompt, said);
    }
  }
  return prompt;
}

/** What one side says in several items is one message of it. */
function add(prompt: LanguageModelV4Message[], said: Said): void {
  const last = prompt.at(-1);
  if (last?.role === said.role) (last.content as unknown[]).push(...said.content); // of the same role, so of the same parts
  else prompt.push(said);
}

function toMessage(each: Item, at: number, names: Map<string, string>): Said | undefined {
  switch (each.type) {
    case "message":
      if (each.role === "user") return { role: "user", content: userParts(each.content, at) };
      return { role: "assistant", content: [{ type: "text", text: textOf(each.content, at) }] };
    case "function_call": {
      const { call_id: toolCallId, name: toolName } = each;
      names.set(toolCallId, toolName);
      return {
        role: "assistant",
        content: [{ type: "tool-call", toolCallId, toolName, input: parsed(each.arguments, `input.${at}.arguments`) }],
      };
    }
    case "function_call_output": {
      const toolName = names.get(each.call_id);
      if (toolName === undefined) throw untranslatable(`input.${at}.call_id`);
      const output = { type: "text" as const, value: joined(each.output) };
      return { role: "tool", content: [{ type: "tool-result", toolCallId: each.call_id, toolName, output }] };
    }
    case "reasoning":
      return undefined;
    default:
      return each satisfies never;
  }
}

type Content = Extract<Item, { type: "message" }>["content"];

function textOf(content: Content, at: number): string {
  if (typeof content === "string") return content;
  return content
    .map((each, piece) => {
      if (each.type !== "input_text" && each.type !== "output_text") throw untranslatable(`input.${at}.content.${piece}.type`);
      return each.text;
    })
    .join("");
}

function userParts(content: Content, at: number): UserPart[] {
  if (typeof content === "string") return [{ type: "text", text: content }];
  return content.map((each): UserPart => {
    if (each.type === "input_image") return filePart(each.image_url, "image/*", `input.${at}.content.image_url`);
    if (each.type !== "input_file") return { type: "text", text: each.text };
    const url = each.file_data ?? each.file_url;
    if (url === undefined || url === null) throw untranslatable(`input.${at}.content.file_id`);
    return filePart(url, "application/pdf", `input.${at}.content.file_data`, each.filename ?? undefined);
  });
}

function formatOf({ text }: Shape): Pick<CallOptions, "responseFormat"> {
  const format = text?.format;
  if (!format || format.type === "text") return {};
  if (format.type === "json_object") return { responseFormat: { type: "json" } };
  return { responseFormat: { type: "json", name: format.name, schema: format.schema } };
}
