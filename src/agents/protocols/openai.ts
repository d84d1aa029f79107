import type { Json } from "../../kernel/index.ts";
import type { Usage } from "../message.ts";
import type { SseEvent } from "../sse.ts";
import { upstreamInvalid } from "../upstream-invalid.ts";
import { type AgentLine, agentUrl, askAgent, fieldOf, invalidSetting, readJson } from "./agent-request.ts";
import type { AnswerPiece, Invocation, Protocol } from "./protocol.ts";

/**
 * The Chat Completions API of OpenAI and its many kin. The tenant's address is the base URL (`https://host/v1`), its model the model.
 * Reads the whole object and the stream of chunks, whichever comes; the first choice only. A stream without `[DONE]` is refused.
 */
export function createOpenaiProtocol(line: AgentLine): Protocol {
  return {
    plan(invocation) {
      const { model } = invocation.context.tenant.agentConfig;
      if (model === null) throw invalidSetting("model", "The agent has no model. Set agentConfig.model.");
      const url = completionsUrl(agentUrl(line.egress, invocation.context));
      const body = toBody(invocation, model);
      return { origin: url.origin, run: (signal) => answer(line, invocation, url, body, signal) };
    },
  };
}

function completionsUrl(base: URL): URL {
  const url = new URL(base);
  // a loop, because /\/+$/ takes quadratic time on an address made of slashes
  let end = url.pathname.length;
  while (end > 0 && url.pathname[end - 1] === "/") end--;
  url.pathname = `${url.pathname.slice(0, end)}/chat/completions`;
  return url;
}

/** Neither the user nor the session is named: the model's provider need not know them. */
function toBody({ message, stream }: Invocation, model: string): Json {
  const turns = message.history.map((turn) => ({ role: turn.role, content: turn.text }));
  const messages = [...turns, { role: "user", content: message.text }];
  return stream ? { model, messages, stream: true, stream_options: { include_usage: true } } : { model, messages };
}

async function* answer(
  line: AgentLine,
  invocation: Invocation,
  url: URL,
  body: Json,
  signal: AbortSignal,
): AsyncGenerator<AnswerPiece, void, void> {
  const reply = await askAgent(line, invocation, url, body, signal);
  if (reply.type === "events") yield* chunksOf(reply.events);
  else yield* completionOf(reply.body);
}

function* completionOf(body: Json): Generator<AnswerPiece, void, void> {
  const content = fieldOf(fieldOf(firstChoice(body), "message"), "content");
  if (typeof content !== "string") throw upstreamInvalid("The agent answered with a completion that has no text.");
  yield { type: "text", text: content };
  yield* usageOf(body);
}

async function* chunksOf(events: AsyncIterable<SseEvent>): AsyncGenerator<AnswerPiece, void, void> {
  for await (const { name, data } of events) {
    if (data === "[DONE]") return;
    if (name === "error") throw midError();
    yield* chunkOf(readJson(Buffer.from(data)));
  }
  throw upstreamInvalid("The agent's stream ended before its end mark.");
}

function* chunkOf(chunk: Json): Generator<AnswerPiece, void, void> {
  if ((fieldOf(chunk, "error") ?? null) !== null) throw midError();
  if (!Array.isArray(fieldOf(chunk, "choices"))) throw upstreamInvalid("The agent sent an event that is no chunk of a completion.");
  const content = fieldOf(fieldOf(firstChoice(chunk), "delta"), "content") ?? null;
  if (content !== null && typeof content !== "string") throw upstreamInvalid("The agent sent a chunk whose content is no text.");
  if (content) yield { type: "text", text: content };
  yield* usageOf(chunk);
}

function midError(): Error {
  return upstreamInvalid("The agent reported an error in the middle of its answer.");
}

/** The one choice that is read; others are never asked for. */
export function firstChoice(body: Json): Json | undefined {
  const choices = fieldOf(body, "choices");
  if (!Array.isArray(choices)) return undefined;
  // a choice without an index is the first
  return choices.find((choice) => (fieldOf(choice, "index") ?? 0) === 0);
}

/** What was used, as far as it is said. Usage that is not two whole counts is left out: the answer is still an answer, and nobody is charged by such a number. */
export function* usageOf(body: Json): Generator<AnswerPiece, void, void> {
  const usage = fieldOf(body, "usage");
  const counts: Usage = { inputTokens: countOf(usage, "prompt_tokens"), outputTokens: countOf(usage, "completion_tokens") };
  if (Number.isSafeInteger(counts.inputTokens + counts.outputTokens)) yield { type: "usage", usage: counts };
}

function countOf(usage: Json | undefined, name: string): number {
  const count = fieldOf(usage, name);
  return typeof count === "number" && Number.isSafeInteger(count) && count >= 0 ? count : Number.NaN;
}
