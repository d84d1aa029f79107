import { assertWebEnabled, collect, type Reply } from "../../../agents/index.ts";
import { Fault, toFault } from "../../../kernel/index.ts";
import { json, type Operation, type TenantCall, tenantOperation } from "../../../gateway/index.ts";
import { titleOf } from "../../../wire/index.ts";
import type { Services } from "../../services.ts";
import { chatInput, toIncoming } from "./chat-input.ts";

/** `POST /api/chat`: a message to the tenant's agent; the whole answer, or its pieces as server-sent events. */
export function sendMessage({ chat }: Services): Operation {
  return tenantOperation(
    { role: "member", scope: "chat" },
    {
      method: "POST",
      path: "/api/chat",
      summary: "Send a message to the tenant's agent. With Accept: text/event-stream the answer comes in pieces.",
      body: chatInput,
      async run({ body, context, scope, head, signal, requestId }) {
        assertWebEnabled(context.tenant);
        const stream = wantsStream(head.headers.all("accept"));
        const reply = await chat.send(scope, toIncoming(body), signal, stream);
        if (stream) {
          const events = toServerSentEvents(reply, { context, head, requestId });
          return { status: 200, headers: { "content-type": "text/event-stream" }, body: events };
        }
        const answer = await collect(reply.events);
        return json(200, {
          success: true,
          response: answer.text,
          sessionId: reply.sessionId,
          tenantId: context.tenant.id,
          userId: reply.userId,
          citations: answer.citations,
        });
      },
    },
  );
}

function wantsStream(accept: readonly string[]): boolean {
  return accept.some((value) => /(?:^|[\s,])text\/event-stream(?:$|[\s,;])/i.test(value));
}

/** `session`, then `text` and `citation` as they come, then `done`; or `error` at any point, after which nothing follows. */
async function* toServerSentEvents(reply: Reply, call: FaultyCall): AsyncGenerator<string, void> {
  const { sessionId, userId } = reply;
  yield serverSentEvent("session", { sessionId, tenantId: call.context.tenant.id, userId });
  try {
    for await (const event of reply.events) {
      if (event.type === "text") yield serverSentEvent("text", { text: event.text });
      else if (event.type === "citation") yield serverSentEvent("citation", event.citation);
      else yield serverSentEvent("done", { success: true, response: event.text, sessionId, citations: event.citations });
    }
  } catch (error) {
    const fault = error instanceof Fault ? error : toFault(error);
    yield serverSentEvent("error", streamedFault(fault, call));
    if (fault.code === "internal") throw fault; // the pipeline's log has to see it
  }
}

/** What is told of a fault besides the fault itself. */
type FaultyCall = Pick<TenantCall<unknown, unknown>, "context" | "head" | "requestId">;

/** A fault inside a stream or socket, where the status has been sent already. */
export function streamedFault(fault: Fault, { context, head, requestId }: FaultyCall): Record<string, unknown> {
  const title = titleOf(fault, context.tenant, head.headers.all("accept-language").join(","));
  const { detail } = fault.public;
  return { success: false, code: fault.code, status: fault.status, title, ...(detail !== undefined && { detail }), requestId };
}

function serverSentEvent(name: string, data: unknown): string {
  return `event: ${name}\ndata: ${JSON.stringify(data)}\n\n`;
}
