import { readOpenaiUsage } from "../meter/usage.ts";
import { chatCompletions } from "./chat-completions.ts";
import { OPENAI_FIELDS } from "./openai-parts.ts";
import type { Protocol } from "./protocol.ts";
import { openaiRefusal } from "./refusals.ts";

/** OpenAI's Embeddings, which have no streams and no length. */
export const embeddings: Protocol = {
  ...chatCompletions,
  name: "embeddings",
  path: () => "/embeddings",
  members: ["model", "user"],
  outputMembers: [],
  callerNames: ["user"],
  keptIds: { ...chatCompletions.keptIds, inAnswer: undefined, expects: () => false },
  passed: OPENAI_FIELDS,
  readUsage: readOpenaiUsage,
  askForUsage: () => undefined,
  refusal: openaiRefusal,
};
