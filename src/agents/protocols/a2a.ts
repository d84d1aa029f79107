import { type Json, uuidV5 } from "../../kernel/index.ts";
import type { SseEvent } from "../sse.ts";
import { upstreamInvalid } from "../upstream-invalid.ts";
import { type AgentLine, type AgentReply, agentUrl, askAgent, fieldOf, readJson } from "./agent-request.ts";
import type { AnswerPiece, Invocation, Protocol } from "./protocol.ts";

/** Namespace of the context ids that follow from session ids. */
const CONTEXTS = "2f0f7a5e-6c1d-4c63-9a0b-9d1f5f0d7c11";
/** JSON-RPC's "no such method" and A2A's "operation not supported". */
const NOT_STREAMING: ReadonlySet<number> = new Set([-32_601, -32_004]);
/** States in which a task is over, and gives nothing more. */
const FAILED: ReadonlySet<string> = new Set(["failed", "rejected", "canceled", "auth-required"]);

/**
 * Agent2Agent 0.3 over JSON-RPC and HTTP: `message/send`, or `message/stream` where the answer can be used in parts. The tenant's address is
 * that of the agent's JSON-RPC endpoint. Read are text parts, of a message, or of a task's artifacts and its last status. A task that is not
 * over when the answer ends, asks for something that is no text, or failed, is refused.
 */
export function createA2aProtocol(line: AgentLine): Protocol {
  return {
    plan(invocation) {
      const url = agentUrl(line.egress, invocation.context);
      return { origin: url.origin, run: (signal) => answer(line, invocation, url, signal) };
    },
  };
}

async function* answer(line: AgentLine, invocation: Invocation, url: URL, signal: AbortSignal): AsyncGenerator<AnswerPiece, void, void> {
  const reply = await ask(line, invocation, url, signal);
  const reader = new ResultReader(invocation.message.id);
  if (reply.type === "json") {
    yield* reader.read(reply.body);
  } else {
    for await (const event of reply.events) {
      yield* reader.read(dataOf(event));
      if (reader.whole) break; // what comes behind it is not waited for
    }
  }
  yield* reader.end();
}

/** The first answer, in parts where the agent can: one that cannot says so, and is asked again for the whole. */
async function ask(line: AgentLine, invocation: Invocation, url: URL, signal: AbortSignal): Promise<AgentReply> {
  const reply = await askAgent(line, invocation, url, toRequest(invocation, invocation.stream), signal);
  if (!invocation.stream || reply.type !== "json") return reply;
  const code = fieldOf(fieldOf(reply.body, "error"), "code");
  if (typeof code !== "number" || !NOT_STREAMING.has(code)) return reply;
  return await askAgent(line, invocation, url, toRequest(invocation, false), signal);
}

/** The conversation is one context of the agent's, by an id that tells it nothing else; it keeps what was said itself. */
function toRequest({ context, message }: Invocation, stream: boolean): Json {
  const contextId = uuidV5(CONTEXTS, [context.tenant.uuid, message.sessionId]);
  const { id, text, userId, tenantId, platform } = message;
  const parts = [{ kind: "text", text }];
  const metadata = { userId, tenantId, platform };
  return {
    jsonrpc: "2.0",
    id,
    method: stream ? "message/stream" : "message/send",
    params: {
      message: { kind: "message", role: "user", messageId: id, contextId, parts, metadata },
      configuration: { acceptedOutputModes: ["text/plain"], blocking: true },
    },
  };
}

function dataOf({ name, data }: SseEvent): Json {
  if (name !== "message") throw upstreamInvalid("The agent sent an event that A2A does not know.");
  return readJson(Buffer.from(data));
}

/** Reads results one after the other, and knows whether the answer is whole. */
class ResultReader {
  readonly #id: string;
  whole = false;
  #said = false;
  /** What a status says counts only where no artifact and no message did. */
  #status = "";

  constructor(id: string) {
    this.#id = id;
  }

  *read(response: Json): Generator<AnswerPiece, void, void> {
    if (fieldOf(response, "jsonrpc") !== "2.0" || fieldOf(response, "id") !== this.#id)
      throw upstreamInvalid("The agent sent something that is no response to this request.");
    if ((fieldOf(response, "error") ?? null) !== null) throw upstreamInvalid("The agent reported an error.");
    const result = fieldOf(response, "result");
    switch (fieldOf(result, "kind")) {
      case "message":
        this.whole = true;
        return yield* this.#texts(result);
      case "task": {
        const artifacts = fieldOf(result, "artifacts") ?? [];
        if (!Array.isArray(artifacts)) throw upstreamInvalid("The agent sent artifacts that are no list.");
        for (const artifact of artifacts) yield* this.#texts(artifact);
        return this.#look(fieldOf(result, "status"));
      }
      case "artifact-update":
        return yield* this.#texts(fieldOf(result, "artifact"));
      case "status-update":
        return this.#look(fieldOf(result, "status"));
      default:
        throw upstreamInvalid("The agent sent a result that A2A does not know.");
    }
  }

  /** What is left to say. Throws when the agent has not said that it is done. */
  *end(): Generator<AnswerPiece, void, void> {
    if (!this.whole) throw upstreamInvalid("The agent's answer ended before its task did.");
    if (!this.#said && this.#status !== "") yield { type: "text", text: this.#status };
  }

  *#texts(holder: Json | undefined): Generator<AnswerPiece, void, void> {
    for (const text of textsOf(holder)) {
      this.#said = true;
      yield { type: "text", text };
    }
  }

  #look(status: Json | undefined): void {
    const state = fieldOf(status, "state");
    if (typeof state !== "string") throw upstreamInvalid("The agent sent a task without a state.");
    if (FAILED.has(state)) throw upstreamInvalid("The agent gave up its task.");
    // what the agent asks for is its answer: the user's next message goes to the same context
    this.whole = state === "completed" || state === "input-required";
    const message = fieldOf(status, "message") ?? null;
    if (this.whole && message !== null) this.#status = [...textsOf(message)].join("");
  }
}

function* textsOf(holder: Json | undefined): Generator<string, void, void> {
  const parts = fieldOf(holder, "parts");
  if (!Array.isArray(parts)) throw upstreamInvalid("The agent sent a message or an artifact without parts.");
  for (const part of parts) {
    if (fieldOf(part, "kind") !== "text") continue; // files and data were not asked for
    const text = fieldOf(part, "text");
    if (typeof text !== "string") throw upstreamInvalid("The agent sent a part whose text is no text.");
    if (text !== "") yield text;
  }
}
