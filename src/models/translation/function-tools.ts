import type { LanguageModelV4ToolChoice } from "@ai-sdk/provider";
import { z } from "zod";
import { type CallOptions, given, jsonSchema } from "./request-shape.ts";

/** A function that the model may call, as both of OpenAI's protocols say it. */
export const functionTool = z.object({
  name: z.string(),
  description: z.string().nullish(),
  parameters: jsonSchema.nullish(),
  strict: z.boolean().nullish(),
});

/** Which of them it is to call: one by its name, or how it chooses. */
export const functionChoice = z.enum(["auto", "none", "required"]);

/** The functions and the choice among them, as adapters take them; nothing where there are none. */
export function functionTools(
  tools: readonly z.output<typeof functionTool>[] | null | undefined,
  choice: z.output<typeof functionChoice> | { readonly name: string } | null | undefined,
): Pick<CallOptions, "tools" | "toolChoice"> {
  if (!tools || tools.length === 0) return {};
  const toolChoice: LanguageModelV4ToolChoice | undefined =
    typeof choice === "string" ? { type: choice } : choice ? { type: "tool", toolName: choice.name } : undefined;
  return {
    tools: tools.map(({ name, description, parameters, strict }) => ({
      type: "function",
      name,
      inputSchema: parameters ?? { type: "object", properties: {} },
      ...given({ description, strict }),
    })),
    ...given({ toolChoice }),
  };
}
