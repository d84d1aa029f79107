import type { WebSocketConnection } from "../../../wire/index.ts";
import { checkInput, type Operation, tenantSocket } from "../../../gateway/index.ts";
import { Fault, parseJson, toFault } from "../../../kernel/index.ts";
import type { Services } from "../../services.ts";
import { chatInput, type ChatInput, toIncoming } from "./chat-input.ts";
import { streamedFault } from "./send.ts";
import { assertWebEnabled } from "./web-channel.ts";

/** `GET /api/chat/socket`: the chat as a WebSocket. Each text message is a `POST /api/chat` body; answers come in pieces, one at a time. */
export function chatSocket(services: Services): Operation {
  const { identity, chat } = services;
  return tenantSocket(
    { role: "member", scope: "chat" },
    {
      path: "/api/chat/socket",
      summary: "Chat over a WebSocket: send the body of POST /api/chat as text, receive events as JSON.",
      async accept({ context, scope, head, signal, requestId, admit }, connection) {
        assertWebEnabled(context);
        let first = true; // the upgrade itself was counted
        for await (const text of connection.messages) {
          try {
            if (!first) admit();
            first = false;
            const input = readMessage(text);
            identity.agree(context, input.tenantId, head.remoteAddress);
            const { sessionId, userId, events } = await chat.send(scope, toIncoming(input), signal, true);
            await send(connection, { type: "session", sessionId, tenantId: context.tenant.id, userId });
            for await (const event of events) {
              if (event.type === "done")
                await send(connection, { type: "done", success: true, response: event.text, sessionId, citations: event.citations });
              else await send(connection, event);
            }
          } catch (error) {
            if (signal.aborted) return;
            const fault = toFault(error);
            await send(connection, { type: "error", ...streamedFault(fault, requestId) });
            if (fault.code === "internal") throw fault;
          }
        }
      },
    },
  );
}

function readMessage(text: string): ChatInput {
  const bytes = Buffer.from(text, "utf8");
  // checked against the schema that the type is made of
  return checkInput(chatInput, parseJson(bytes)) as ChatInput;
}

async function send(connection: WebSocketConnection, event: Record<string, unknown>): Promise<void> {
  try {
    await connection.send(JSON.stringify(event));
  } catch (cause) {
    throw new Fault("upstream_unreachable", "the caller closed its socket", { cause });
  }
}
