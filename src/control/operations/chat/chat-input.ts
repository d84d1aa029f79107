import { z } from "zod";
import type { IncomingMessage } from "../../../agents/index.ts";
import { agreeingTenantId, entityId, metadata, text } from "../../schemas.ts";

/** A message from the web channel. */
export const chatInput = z.strictObject({
  message: text(32_000),
  userId: entityId.optional(),
  tenantId: agreeingTenantId,
  sessionId: z.string().max(128).nullish(),
  metadata,
});

export type ChatInput = z.output<typeof chatInput>;

/** The message as every channel hands it over. */
export function toIncoming(input: ChatInput): IncomingMessage {
  const { message, userId, sessionId, metadata: extra } = input;
  return { text: message, userId, sessionId: sessionId ?? undefined, platform: "web", metadata: extra };
}
