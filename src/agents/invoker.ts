import { AGENT_PROTOCOLS, type AgentProtocol, type Clock, Fault, type TenantContext } from "../kernel/index.ts";
import type { LimitKey, Limits, Slot } from "../tenancy/limits/index.ts";
import { type Attempt, startAttempt } from "./attempt.ts";
import { createBreaker, outcomeOf } from "./breaker.ts";
import type { AgentAnswer, AgentEvent, Citation, NormalizedMessage, Usage } from "./message.ts";
import { type AgentLine, ANSWER_BYTES_MAX } from "./protocols/agent-request.ts";
import { createA2aProtocol } from "./protocols/a2a.ts";
import { createBuiltinProtocol } from "./protocols/builtin.ts";
import { createOpenaiProtocol } from "./protocols/openai.ts";
import type { AnswerPiece, Plan, Protocol } from "./protocols/protocol.ts";
import { createWebhookProtocol } from "./protocols/webhook.ts";
import { createMcpPool } from "./tools/mcp-pool.ts";
import type { ToolLoopPorts } from "./tools/tool-loop.ts";
import { upstreamInvalid } from "./upstream-invalid.ts";

const POLICY = "agent-concurrency";
/** What a caller without a slot is told to wait. */
const CONCURRENCY_RETRY_MS = 1_000;

/** What an invoker is built from. */
export interface InvokerOptions extends Omit<ToolLoopPorts, "mcpPool"> {
  readonly clock: Clock;
  readonly agentSecret: AgentLine["secret"];
  /** Counts the answers under way. */
  readonly limits: Pick<Limits, "slot" | "inUse">;
}

/** How one answer is asked for. */
export interface InvokeOptions {
  /** Whether the answer is asked for in parts. Parts may come either way. */
  readonly stream: boolean;
}

/** Asks tenants' agents. */
export interface Invoker {
  /**
   * The answer of the agent of the context's tenant. Nothing is called before the first event is asked for. The last event is `done`;
   * an answer that cannot be finished throws instead: `concurrency_exceeded`, `circuit_open`, `egress_denied`, `invalid_settings`,
   * `upstream_timeout`, `upstream_unreachable`, `upstream_invalid`, or the signal's reason when the caller is gone.
   */
  invoke(context: TenantContext, message: NormalizedMessage, signal: AbortSignal, options?: InvokeOptions): AsyncIterable<AgentEvent>;
  /** Answers under way for the tenant. */
  inUse(tenantUuid: string): number;
  /** Says goodbye to servers that are kept for the next answer. */
  close(): Promise<void>;
}

/** An invoker with closed circuits and all slots free. Slots, circuits and connections are the tenant's own. */
export function createInvoker(ports: InvokerOptions): Invoker {
  const { egress, clock, agentSecret, limits } = ports;
  const breaker = createBreaker(clock);
  const mcpPool = createMcpPool({ clock, breaker });
  const line: AgentLine = { egress, clock, secret: agentSecret };
  const protocols: Readonly<Record<AgentProtocol, Protocol>> = {
    builtin: createBuiltinProtocol({ ...ports, mcpPool }),
    webhook: createWebhookProtocol(line),
    openai: createOpenaiProtocol(line),
    a2a: createA2aProtocol(line),
  };

  function begin({ tenant }: TenantContext, plan: Plan, caller: AbortSignal): Attempt {
    const slot = takeSlot(limits, tenant.uuid, tenant.agentConfig.concurrency);
    try {
      const pass = plan.origin === undefined ? undefined : breaker.enter(tenant.uuid, plan.origin);
      return startAttempt({ slot, pass, timeoutMs: tenant.agentConfig.timeout, caller });
    } catch (error) {
      slot.release();
      throw error;
    }
  }

  return {
    async *invoke(context, message, signal, options = { stream: true }) {
      assertSameTenant(context, message);
      signal.throwIfAborted();
      const plan = protocolOf(protocols, context).plan({ context, message, stream: options.stream });
      yield* eventsOf(plan, begin(context, plan, signal));
    },
    inUse: (tenantUuid) => limits.inUse(keyOf(tenantUuid)),
    close: () => mcpPool.close(),
  };
}

/** The counter of a tenant's answers, so that its slow agent holds up that tenant only. */
function keyOf(tenantUuid: string): LimitKey {
  return [tenantUuid, POLICY];
}

function takeSlot(limits: Pick<Limits, "slot" | "inUse">, tenantUuid: string, slotsMax: number): Slot {
  const slot = limits.slot(keyOf(tenantUuid), slotsMax);
  if (slot) return slot;
  throw new Fault("concurrency_exceeded", `${limits.inUse(keyOf(tenantUuid))} of ${slotsMax} agent slots in use`, {
    public: { policy: POLICY, retryAfterMs: CONCURRENCY_RETRY_MS },
  });
}

/** The whole answer. Throws what the events throw. */
export async function collect(events: AsyncIterable<AgentEvent>): Promise<AgentAnswer> {
  for await (const event of events) {
    if (event.type !== "done") continue;
    const { text, citations, usage } = event;
    return usage ? { text, citations, usage } : { text, citations };
  }
  throw new Fault("internal", "the events of an answer ended without done");
}

function assertSameTenant(context: TenantContext, message: NormalizedMessage): void {
  if (message.tenantId === context.tenant.id) return;
  throw new Fault("isolation_violation", `a message of ${message.tenantId} was about to go to the agent of ${context.tenant.id}`);
}

function protocolOf(protocols: Readonly<Record<AgentProtocol, Protocol>>, { tenant }: TenantContext): Protocol {
  const { protocol } = tenant.agentConfig;
  // the type says that it is one of these, but settings come from outside the type system
  if (AGENT_PROTOCOLS.includes(protocol)) return protocols[protocol];
  const detail = "The agent's protocol is not known.";
  throw new Fault("invalid_settings", detail, { public: { detail, field: "/agentConfig/protocol" } });
}

async function* eventsOf(plan: Plan, attempt: Attempt): AsyncGenerator<AgentEvent, void, void> {
  const answer = new Answer();
  try {
    for await (const piece of waitingFor(plan.run(attempt.signal), attempt)) {
      const event = answer.add(piece);
      if (event) yield event;
    }
    const done = answer.done();
    attempt.end("succeeded"); // before the last event, so that a caller who has it finds the slot free
    yield done;
  } catch (error) {
    attempt.end(outcomeOf(error), error);
    throw error;
  } finally {
    attempt.end("abandoned"); // counts only when the reader stopped reading
  }
}

/** The pieces, each waited for under the attempt's limits. */
async function* waitingFor(pieces: AsyncIterable<AnswerPiece>, attempt: Attempt): AsyncGenerator<AnswerPiece, void, void> {
  const iterator = pieces[Symbol.asyncIterator]();
  try {
    for (;;) {
      const next = await attempt.wait(() => iterator.next());
      if (next.done) return;
      yield next.value;
    }
  } finally {
    // not awaited, since a protocol that hangs would hang here again; what it says after the end changes nothing
    iterator.return?.().catch(() => undefined);
  }
}

/** Puts an answer together and checks it. */
class Answer {
  readonly #texts: string[] = [];
  readonly #citations: Citation[] = [];
  #bytes = 0;
  #usage: Usage | undefined;

  /** The event of a piece, if it has one. Throws `upstream_invalid` when the text is too long or no text. */
  add(piece: AnswerPiece): AgentEvent | undefined {
    if (piece.type === "usage") {
      this.#usage = piece.usage;
      return undefined;
    }
    if (piece.type === "citation") this.#citations.push(piece.citation);
    else this.#addText(piece.text);
    return piece;
  }

  /** The last event. Throws `upstream_invalid` when there is nothing in it. */
  done(): AgentEvent {
    const text = this.#texts.join("");
    if (text.trim() === "") throw upstreamInvalid("The agent answered with no text.");
    const whole = { type: "done", text, citations: this.#citations } as const;
    return this.#usage ? { ...whole, usage: this.#usage } : whole;
  }

  #addText(text: string): void {
    this.#bytes += Buffer.byteLength(text);
    if (this.#bytes > ANSWER_BYTES_MAX) throw upstreamInvalid(`The agent's answer is longer than ${ANSWER_BYTES_MAX} bytes.`);
    // neither can be stored or sent on as what it is
    if (!text.isWellFormed() || text.includes("\0")) throw upstreamInvalid("The agent's answer has a character that cannot be stored.");
    this.#texts.push(text);
  }
}
