import type { LanguageModelV4Message } from "@ai-sdk/provider";
import { z } from "zod";
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

const textPart = z.object({ type: z.literal("text"), text: z.string() });
const text = z.union([z.string(), z.array(textPart)]);
const userPart = z.discriminatedUnion("type", [
  textPart,
  z.object({ type: z.literal("image_url"), image_url: z.object({ url: z.string() }) }),
  z.object({ type: z.literal("file"), file: z.object({ file_data: z.string(), filename: z.string().optional() }) }),
]);
const toolCall = z.object({
  id: z.string(),
  type: z.literal("function"),
  function: z.object({ name: z.string(), arguments: z.string() }),
});
const message = z.discriminatedUnion("role", [
  z.object({ role: z.enum(["system", "developer"]), content: text }),
  z.object({ role: z.literal("user"), content: z.union([z.string(), z.array(userPart)]) }),
  z.object({ role: z.literal("assistant"), content: text.nullish(), tool_calls: z.array(toolCall).nullish(), audio: z.null().optional() }),
  z.object({ role: z.literal("tool"), content: text, tool_call_id: z.string() }),
]);
const tool = z.object({ type: z.literal("function"), function: functionTool });

const shape = z.strictObject({
  model: z.string(),
  messages: z.array(message).min(1),
  stream: ignored,
  stream_options: ignored,
  max_tokens: ignored,
  max_completion_tokens: ignored,
  n: z.literal(1).nullish(),
  temperature: number,
  top_p: number,
  presence_penalty: number,
  frequency_penalty: number,
  seed: number,
  stop: z.union([z.string(), z.array(z.string())]).nullish(),
  tools: z.array(tool).nullish(),
  tool_choice: z.union([functionChoice, z.object({ type: z.literal("function"), function: z.object({ name: z.string() }) })]).nullish(),
  parallel_tool_calls: z.boolean().nullish(),
  response_format: z
    .discriminatedUnion("type", [
      z.object({ type: z.literal("text") }),
      z.object({ type: z.literal("json_object") }),
      z.object({ type: z.literal("json_schema"), json_schema: z.object({ name: z.string(), schema: jsonSchema.optional() }) }),
    ])
    .nullish(),
  logprobs: z.literal(false).nullish(),
  user: ignored,
  safety_identifier: ignored,
  prompt_cache_key: ignored,
  cache_salt: ignored,
  metadata: ignored,
  store: ignored,
  service_tier: ignored,
});

type Message = z.output<typeof message>;
type Shape = z.output<typeof shape>;

/** A request of Chat Completions. Throws `malformed_request` with what has no meaning in another protocol. */
export function fromChat(body: unknown): CallOptions {
  const request = readShape(shape, body);
  const { temperature, top_p: topP, presence_penalty: presencePenalty, frequency_penalty: frequencyPenalty, seed, stop } = request;
  const stopSequences = typeof stop === "string" ? [stop] : stop;
  return {
    prompt: toPrompt(request.messages),
    ...given({ temperature, topP, presencePenalty, frequencyPenalty, seed, stopSequences }),
    ...toolsOf(request),
    ...formatOf(request),
    ...(request.parallel_tool_calls === false && { providerOptions: { anthropic: { disableParallelToolUse: true } } }),
  };
}

function toPrompt(messages: readonly Message[]): LanguageModelV4Message[] {
  const names = new Map<string, string>();
  return messages.map((each, at): LanguageModelV4Message => {
    switch (each.role) {
      case "system":
      case "developer":
        return { role: "system", content: joined(each.content) };
      case "user":
        return { role: "user", content: userParts(each.content, at) };
      case "assistant": {
        const said = joined(each.content ?? "");
        const calls = (each.tool_calls ?? []).map(({ id, function: { name, arguments: input } }) => {
          names.set(id, name);
          return { type: "tool-call" as const, toolCallId: id, toolName: name, input: parsed(input, `messages.${at}.tool_calls`) };
        });
        return { role: "assistant", content: [...(said === "" ? [] : [{ type: "text" as const, text: said }]), ...calls] };
      }
      case "tool": {
        const output = { type: "text" as const, value: joined(each.content) };
        const toolName = names.get(each.tool_call_id);
        if (toolName === undefined) throw untranslatable(`messages.${at}.tool_call_id`);
        return { role: "tool", content: [{ type: "tool-result", toolCallId: each.tool_call_id, toolName, output }] };
      }
      default:
        return each satisfies never;
    }
  });
}

function userParts(content: Extract<Message, { role: "user" }>["content"], at: number): UserPart[] {
  if (typeof content === "string") return [{ type: "text", text: content }];
  return content.map((part): UserPart => {
    if (part.type === "text") return { type: "text", text: part.text };
    if (part.type === "image_url") return filePart(part.image_url.url, "image/*", `messages.${at}.content.image_url`);
    return filePart(part.file.file_data, "application/pdf", `messages.${at}.content.file`, part.file.filename);
  });
}

function toolsOf({ tools, tool_choice: choice }: Shape): Pick<CallOptions, "tools" | "toolChoice"> {
  return functionTools(
    tools?.map((each) => each.function),
    typeof choice === "object" ? choice?.function : choice,
  );
}

function formatOf({ response_format: format }: Shape): Pick<CallOptions, "responseFormat"> {
  if (!format || format.type === "text") return {};
  if (format.type === "json_object") return { responseFormat: { type: "json" } };
  const { name, schema } = format.json_schema;
  return { responseFormat: { type: "json", name, ...given({ schema }) } };
}
