import { assertWebEnabled } from "../../../agents/index.ts";
import type { WebSocketConnection } from "../../../wire/index.ts";
import { checkInput, type Operation, type SocketCall, tenantSocket } from "../../../gateway/index.ts";
import { parseJson, toFault } from "../../../kernel/index.ts";
import type { Services } from "../../services.ts";
import { chatInput, type ChatInput, toIncoming } from "./chat-input.ts";
import { streamedFault } from "./send.ts";

/** `GET /api/chat/socket`: the chat as a WebSocket. Each text message is a `POST /api/chat` body; answers come in pieces, one at a time. */
export function chatSocket(services: Services): Operation {
  return tenantSocket(
    { role: "member", scope: "chat" },
    {
      path: "/api/chat/socket",
      summary: "Chat over a WebSocket: send the body of POST /api/chat as text, receive events as JSON.",
      async accept(call, connection) {
        for await (const text of connection.messages) {
          try {
            await answer(services, call, text, connection);
          } catch (error) {
            if (call.signal.aborted || error instanceof CallerGone) return;
            const fault = toFault(error);
            await send(connection, { type: "error", ...streamedFault(fault, call) });
            if (fault.code === "internal" || ENDS.has(fault.code)) throw fault;
          }
        }
      },
    },
  );
}

/** Refusals after which no later message could be answered. */
const ENDS: ReadonlySet<string> = new Set(["unauthenticated", "tenant_suspended", "tenant_not_ready"]);

async function answer({ identity, chat }: Services, upgrade: SocketCall, text: string, connection: WebSocketConnection): Promise<void> {
  const { context, scope, head, signal } = await upgrade.admit();
  assertWebEnabled(context.tenant);
  const input = readMessage(text);
  identity.agree(context, input.tenantId, head.remoteAddress);
  const { sessionId, userId, events } = await chat.send(scope, toIncoming(input), signal, true);
  await send(connection, { type: "session", sessionId, tenantId: context.tenant.id, userId });
  for await (const event of events) {
    if (event.type === "done")
      await send(connection, { type: "done", success: true, response: event.text, sessionId, citations: event.citations });
    else await send(connection, event);
  }
}

function readMessage(text: string): ChatInput {
  const bytes = Buffer.from(text, "utf8");
  // checked against the schema that the type is made of
  return checkInput(chatInput, parseJson(bytes)) as ChatInput;
}

/** The caller closed its socket while it was being answered. */
class CallerGone extends Error {}

async function send(connection: WebSocketConnection, event: Record<string, unknown>): Promise<void> {
  try {
    await connection.send(JSON.stringify(event));
  } catch (cause) {
    throw new CallerGone("the caller closed its socket", { cause });
  }
}
