import { type Clock, Fault, type Json, type Platform, type Random, type TenantContext, uuidV7 } from "../kernel/index.ts";
import type { TenantScope } from "../stores/index.ts";
import type { Invoker } from "./invoker.ts";
import type { AgentEvent, NormalizedMessage } from "./message.ts";
import { admitUser } from "./active-users.ts";
import { appendTurn, beginSession, findSession, hasEnded, newSessionId, type NewSession, readHistory } from "./sessions.ts";

/** A message as a channel hands it over. */
export interface IncomingMessage {
  readonly text: string;
  /** For whom; the caller itself unless it may speak for others. */
  readonly userId: string | undefined;
  /** The session to go on with; a new one begins without. */
  readonly sessionId: string | undefined;
  readonly platform: Platform;
  readonly metadata: Readonly<Record<string, Json>>;
}

/** An answer that is on its way. The session it belongs to is known before its first piece; where pieces are read, it is stored by then. */
export interface Reply {
  readonly sessionId: string;
  readonly userId: string;
  /** The pieces; after `done` the turn is stored. */
  readonly events: AsyncIterable<AgentEvent>;
}

/** What chat is built from. */
export interface ChatPorts {
  readonly invoker: Invoker;
  readonly clock: Clock;
  readonly random: Random;
}

/** Takes messages to the tenant's agent and keeps the conversation. */
export interface Chat {
  send(scope: TenantScope, message: IncomingMessage, signal: AbortSignal, stream: boolean): Promise<Reply>;
}

/** Chat through this invoker. A turn is stored when its answer is whole, and not otherwise; a session that was told of stays. */
export function createChat(ports: ChatPorts): Chat {
  return {
    async send(scope, incoming, signal, stream) {
      const { context } = scope;
      // who may speak for others and names nobody goes on as the session's own user
      const anyUser = incoming.userId === undefined && mayActForOthers(context);
      const speaker = speaksFor(context, incoming.userId);
      const known =
        incoming.sessionId === undefined ? undefined : await findSession(scope, incoming.sessionId, anyUser ? undefined : speaker);
      if (known && hasEnded(context.tenant, known, ports.clock.now())) throw ended();
      const userId = known?.userId ?? speaker;
      await admitUser(scope, userId);
      const session = known ?? begin(ports, context, userId, incoming);
      const message: NormalizedMessage = {
        id: uuidV7(ports.clock, ports.random),
        text: incoming.text,
        userId,
        sessionId: session.sessionId,
        tenantId: context.tenant.id,
        platform: incoming.platform,
        metadata: incoming.metadata,
        history: known ? await readHistory(scope, known) : [],
        at: new Date(ports.clock.now()).toISOString(),
      };
      // whoever reads in parts is told the session at once, and may go on with it even if it does not read to the end
      const begun = !known && stream;
      if (begun) await beginSession(scope, session);
      const events = ports.invoker.invoke(context, message, signal, { stream });
      return { sessionId: session.sessionId, userId, events: storing(ports, scope, session, incoming.text, events, !known && !begun) };
    },
  };
}

function ended(): Fault {
  const detail = "This session has ended. Begin another one, without sessionId.";
  return new Fault("not_found", "a session that has ended", { public: { detail, field: "sessionId" } });
}

/**
 * Who a caller's message is from. A member speaks only for itself; an admin or a key of the tenant may name any of the tenant's users.
 */
export function speaksFor(context: TenantContext, userId: string | undefined): string {
  if (userId === undefined || userId === context.principal.id) return context.principal.id;
  if (mayActForOthers(context)) return userId;
  throw new Fault("forbidden", "a member named another user", {
    public: { detail: "Only an admin or an API key of the tenant may act for another user.", field: "userId" },
  });
}

/** Whether the caller may see and act for all users of its tenant. */
export function mayActForOthers({ principal }: TenantContext): boolean {
  return principal.kind === "api_key" || principal.roles.includes("admin");
}

function begin({ random }: ChatPorts, { tenant }: TenantContext, userId: string, { platform, metadata }: IncomingMessage): NewSession {
  return { sessionId: newSessionId(tenant, platform, random), userId, platform, metadata };
}

/** Passes the answer on and stores the turn before its end is told, so that an answer that was seen whole is never lost. */
async function* storing(
  ports: ChatPorts,
  scope: TenantScope,
  session: NewSession,
  question: string,
  events: AsyncIterable<AgentEvent>,
  isNew: boolean,
): AsyncGenerator<AgentEvent, void> {
  for await (const event of events) {
    if (event.type === "done") {
      await appendTurn(ports, scope, session, { question, answer: event.text, citations: event.citations }, isNew);
    }
    yield event;
  }
}
