import type { ModelProtocol } from "../settings/schema.ts";
import { chatCompletions } from "./chat-completions.ts";
import { embeddings } from "./embeddings.ts";
import { messages } from "./messages.ts";
import type { Protocol } from "./protocol.ts";
import { responses } from "./responses.ts";

/** Every protocol there is. */
export const PROTOCOLS: Readonly<Record<ModelProtocol, Protocol>> = {
  "chat-completions": chatCompletions,
  responses,
  embeddings,
  messages,
};
