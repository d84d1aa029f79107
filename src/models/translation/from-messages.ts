import type {
  LanguageModelV4Message,
  LanguageModelV4TextPart,
  LanguageModelV4ToolCallPart,
  LanguageModelV4ToolChoice,
  LanguageModelV4ToolResultPart,
} from "@ai-sdk/provider";
import { z } from "zod";
import { type CallOptions, filePart, ignored, joined, jsonSchema, readShape, untranslatable, type UserPart } from "./request-shape.ts";

const textBlock = z.object({ type: z.literal("text"), text: z.string() });
const source = z.discriminatedUnion("type", [
  z.object({ type: z.literal("base64"), media_type: z.string(), data: z.string() }),
  z.object({ type: z.literal("url"), url: z.string() }),
]);
const fileBlock = z.object({ type: z.enum(["image", "document"]), source });
const toolResult = z.object({
  type: z.literal("tool_result"),
  tool_use_id: z.string(),
  content: z.union([z.string(), z.array(textBlock)]).optional(),
  is_error: z.boolean().optional(),
});
const userBlock = z.union([textBlock, fileBlock, toolResult]);
const assistantBlock = z.discriminatedUnion("type", [
  textBlock,
  z.object({ type: z.literal("tool_use"), id: z.string(), name: z.string(), input: z.record(z.string(), z.unknown()) }),
  // its signature is for whoever made it
  z.object({ type: z.enum(["thinking", "redacted_thinking"]) }),
]);
const message = z.discriminatedUnion("role", [
  z.object({ role: z.literal("user"), content: z.union([z.string(), z.array(userBlock)]) }),
  z.object({ role: z.literal("assistant"), content: z.union([z.string(), z.array(assistantBlock)]) }),
]);
const tool = z.object({
  type: z.literal("custom").optional(),
  name: z.string(),
  description: z.string().optional(),
  input_schema: jsonSchema,
  strict: z.boolean().optional(),
});

const shape = z.strictObject({
  model: z.string(),
  messages: z.array(message).min(1),
  system: z.union([z.string(), z.array(textBlock)]).optional(),
  stream: ignored,
  max_tokens: ignored,
  temperature: z.number().optional(),
  top_p: z.number().optional(),
  top_k: z.number().optional(),
  stop_sequences: z.array(z.string()).optional(),
  tools: z.array(tool).optional(),
  tool_choice: z
    .object({
      type: z.enum(["auto", "any", "tool", "none"]),
      name: z.string().optional(),
      disable_parallel_tool_use: z.boolean().optional(),
    })
    .optional(),
  metadata: ignored,
  service_tier: ignored,
});

type AssistantPart = LanguageModelV4TextPart | LanguageModelV4ToolCallPart;
type Message = z.output<typeof message>;
type Shape = z.output<typeof shape>;

/** A request of Messages. Throws `malformed_request` with what has no meaning in another protocol. */
export function fromMessages(body: unknown): CallOptions {
  const request = readShape(shape, body);
  const { temperature, top_p: topP, top_k: topK, stop_sequences: stopSequences, system, tool_choice: choice } = request;
  const names = new Map<string, string>();
  const prompt = request.messages.flatMap((each, at) => toMessages(each, at, names));
  return {
    prompt: system === undefined || system.length === 0 ? prompt : [{ role: "system", content: joined(system) }, ...prompt],
    ...(temperature !== undefined && { temperature }),
    ...(topP !== undefined && { topP }),
    ...(topK !== undefined && { topK }),
    ...(stopSequences !== undefined && { stopSequences }),
    ...toolsOf(request),
    ...(choice?.disable_parallel_tool_use === true && { providerOptions: { openai: { parallelToolCalls: false } } }),
  };
}

function toMessages(each: Message, at: number, names: Map<string, string>): LanguageModelV4Message[] {
  if (each.role === "assistant") {
    const blocks = typeof each.content === "string" ? [{ type: "text" as const, text: each.content }] : each.content;
    const content = blocks.flatMap((block): AssistantPart[] => {
      if (block.type === "text") return [{ type: "text", text: block.text }];
      if (block.type !== "tool_use") return [];
      names.set(block.id, block.name);
      return [{ type: "tool-call", toolCallId: block.id, toolName: block.name, input: block.input }];
    });
    return [{ role: "assistant", content }];
  }
  if (typeof each.content === "string") return [{ role: "user", content: [{ type: "text", text: each.content }] }];
  const results = each.content.flatMap((block) => (block.type === "tool_result" ? [resultOf(block, at, names)] : []));
  const said = each.content.flatMap((block): UserPart[] => {
    if (block.type === "text") return [{ type: "text", text: block.text }];
    return block.type === "tool_result" ? [] : [fileOf(block, at)];
  });
  // what tools have said comes before what is asked about it
  return [
    ...(results.length > 0 ? [{ role: "tool" as const, content: results }] : []),
    ...(said.length > 0 ? [{ role: "user" as const, content: said }] : []),
  ];
}

function resultOf(block: z.output<typeof toolResult>, at: number, names: ReadonlyMap<string, string>): LanguageModelV4ToolResultPart {
  const { tool_use_id: toolCallId, content = "", is_error: isError } = block;
  const toolName = names.get(toolCallId);
  if (toolName === undefined) throw untranslatable(`messages.${at}.content.tool_use_id`);
  return { type: "tool-result", toolCallId, toolName, output: { type: isError === true ? "error-text" : "text", value: joined(content) } };
}

function fileOf({ type, source: from }: z.output<typeof fileBlock>, at: number): UserPart {
  const field = `messages.${at}.content.source`;
  const url = from.type === "url" ? from.url : `data:${from.media_type};base64,${from.data}`;
  return filePart(url, type === "image" ? "image/*" : "application/pdf", field, type === "document" ? "document.pdf" : undefined);
}

function toolsOf({ tools, tool_choice: choice }: Shape): Pick<CallOptions, "tools" | "toolChoice"> {
  if (!tools || tools.length === 0) return {};
  return {
    tools: tools.map(({ name, description, input_schema: inputSchema, strict }) => ({
      type: "function",
      name,
      inputSchema,
      ...(description !== undefined && { description }),
      ...(strict !== undefined && { strict }),
    })),
    ...(choice && { toolChoice: choiceOf(choice) }),
  };
}

function choiceOf({ type, name = "" }: NonNullable<Shape["tool_choice"]>): LanguageModelV4ToolChoice {
  if (type === "tool") return { type, toolName: name };
  return { type: type === "any" ? "required" : type };
}
