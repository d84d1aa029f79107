import type { Json } from "../../kernel/index.ts";
import type { NormalizedMessage } from "../message.ts";
import type { SseEvent } from "../sse.ts";
import { upstreamInvalid } from "../upstream-invalid.ts";
import { type AgentLine, agentUrl, askAgent, fieldOf, readJson } from "./agent-request.ts";
import type { AnswerPiece, Invocation, Protocol } from "./protocol.ts";

/**
 * The plain protocol: the message goes as JSON to the tenant's address, and the answer is one of
 * - `application/json`: `{"response": "the whole text"}`;
 * - `text/event-stream`: `data: {"text": "a part"}` any number of times, then `data: [DONE]` or `event: done`.
 * A stream without its end mark was cut short and is refused. `event: error` and unknown events end the answer as a fault.
 * Only text is read: an agent cannot put citations into an answer.
 */
export function createWebhookProtocol(line: AgentLine): Protocol {
  return {
    plan(invocation) {
      const url = agentUrl(line.egress, invocation.context);
      return { origin: url.origin, run: (signal) => answer(line, invocation, url, signal) };
    },
  };
}

async function* answer(line: AgentLine, invocation: Invocation, url: URL, signal: AbortSignal): AsyncGenerator<AnswerPiece, void, void> {
  const reply = await askAgent(line, invocation, url, toBody(invocation.message), signal);
  if (reply.type === "events") yield* partsOf(reply.events);
  else yield { type: "text", text: wholeOf(reply.body) };
}

/** Field by field, so that a field added to the message later does not leave the house unnoticed. */
function toBody(message: NormalizedMessage): Json {
  const { id, text, userId, sessionId, tenantId, platform, metadata, history, at } = message;
  const turns = history.map((turn) => ({ role: turn.role, text: turn.text }));
  return { id, text, userId, sessionId, tenantId, platform, metadata: { ...metadata }, history: turns, at };
}

function wholeOf(body: Json): string {
  const response = fieldOf(body, "response");
  if (typeof response !== "string") throw upstreamInvalid('The agent answered with JSON that has no text under "response".');
  return response;
}

async function* partsOf(events: AsyncIterable<SseEvent>): AsyncGenerator<AnswerPiece, void, void> {
  for await (const { name, data } of events) {
    if (name === "error") throw upstreamInvalid("The agent reported an error in the middle of its answer.");
    if (name === "done" || (name === "message" && data === "[DONE]")) return;
    if (name !== "message") throw upstreamInvalid("The agent sent an event that the webhook protocol does not know.");
    const text = fieldOf(readJson(Buffer.from(data)), "text");
    if (typeof text !== "string") throw upstreamInvalid('The agent sent an event that has no text under "text".');
    yield { type: "text", text };
  }
  throw upstreamInvalid("The agent's stream ended before its end mark.");
}
