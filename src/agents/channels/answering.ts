import { setTimeout as pause } from "node:timers/promises";
import { z } from "zod";
import { type Clock, Fault, type FaultCode, type Json, type Random, type TenantContext, toFault, uuidV7 } from "../../kernel/index.ts";
import type { EventConsumer } from "../../stores/events/index.ts";
import type { Stores, TenantScope } from "../../stores/index.ts";
import type { Installation, Installations } from "../../tenancy/registry/index.ts";
import { titleOf } from "../../wire/index.ts";
import { admitUser } from "../active-users.ts";
import { collect, type Invoker } from "../invoker.ts";
import { linkCodeIn, useLinkCode, userOf } from "../links.ts";
import type { AgentAnswer } from "../message.ts";
import { addTurn, type NewSession, readHistory } from "../sessions.ts";
import type { Channel } from "./channel.ts";
import { sessionOf } from "./conversations.ts";
import { isOfTenant, noteState, openAddress, type WaitingMessage, type WaitingReply } from "./deliveries.ts";

/** What answering needs. */
export interface AnsweringPorts {
  readonly installations: Pick<Installations, "find" | "secrets">;
  readonly channels: ReadonlyMap<string, Channel>;
  readonly stores: Stores;
  readonly invoker: Invoker;
  readonly clock: Clock;
  readonly random: Random;
}

const replySchema = z.object({ installation: z.string(), deliveryId: z.string(), address: z.string(), text: z.string() });
const messageSchema = replySchema.extend({ conversation: z.string(), sender: z.string(), metadata: z.record(z.string(), z.json()) });

/** Characters of an answer that are kept for the way out; platforms take less. */
const REPLY_MAX = 40_000;
const PAUSE_MS_MAX = 30_000;
/** After these the same message may go better; of every other fault its author is told. */
const LATER: ReadonlySet<FaultCode> = new Set([
  "concurrency_exceeded",
  "overloaded",
  "dependency_unavailable",
  "tenant_moving",
  "storage_full",
  "internal",
]);

/**
 * Asks the agent for each message of a channel. The turn is stored and the reply published in one transaction; an agent that fails is not
 * asked again, and its failure is the reply.
 */
export function answerMessages(ports: AnsweringPorts): EventConsumer {
  return {
    name: "channel-answers",
    topics: ["channel.messages"],
    async handle(event, context, signal) {
      const waiting: WaitingMessage = messageSchema.parse(event.data);
      const installation = await installationOf(ports, waiting, context);
      const scope = ports.stores.scope(context);
      if (!installation) return async () => {};
      const code = linkCodeIn(waiting.text);
      const { session, isNew, answer, problem, said } =
        code === undefined ? await ask(ports, scope, installation, waiting, signal) : await link(scope, waiting, code);
      const words = answer?.text ?? said ?? titleOf(toFault(problem), context.tenant, context.tenant.locale);
      const text = words.slice(0, REPLY_MAX).toWellFormed();
      await noteState(scope, waiting, "answered", problem?.code ?? null);
      return async (tx) => {
        if (answer && session) {
          await addTurn(ports, tx, scope, session, { question: waiting.text, answer: answer.text, citations: answer.citations }, isNew);
        }
        const { installation: id, deliveryId, address, conversation } = waiting;
        await scope.events.publish(tx, {
          topic: "channel.replies",
          type: "channel.reply_made",
          key: conversation,
          data: { installation: id, deliveryId, address, text },
        });
      };
    },
  };
}

/** Sends each reply to the place that was sealed with its message. What the platform will never take is noted and ends. */
export function sendReplies(ports: AnsweringPorts): EventConsumer {
  return {
    name: "channel-replies",
    topics: ["channel.replies"],
    async handle(event, context, signal) {
      const waiting: WaitingReply = replySchema.parse(event.data);
      const installation = await installationOf(ports, waiting, context);
      const scope = ports.stores.scope(context);
      const channel = installation && ports.channels.get(installation.platform);
      if (!channel) return async () => {};
      const address = await openAddress(scope.vault, waiting);
      const open = { ...installation, secrets: await ports.installations.secrets(installation) };
      const outcome = await patiently(() => channel.reply(open, address, waiting.text, signal), signal);
      if (outcome.kind === "sent") await noteState(scope, waiting, "sent");
      else await noteState(scope, waiting, "failed", outcome.reason);
      return async () => {};
    },
  };
}

/** The installation that an event names, where it still is and is this tenant's. */
async function installationOf(
  { installations }: AnsweringPorts,
  { installation: id }: WaitingReply,
  context: TenantContext,
): Promise<Installation | undefined> {
  const installation = await installations.find(id);
  if (installation && !isOfTenant(installation, context)) {
    throw new Fault("isolation_violation", `an event of ${context.tenant.id} names an installation of another tenant`);
  }
  return installation;
}

interface Asked {
  readonly session: NewSession | undefined;
  /** What is said without asking the agent. */
  readonly said?: string;
  readonly isNew: boolean;
  readonly answer: AgentAnswer | undefined;
  readonly problem: Fault | undefined;
}

async function ask(
  ports: AnsweringPorts,
  scope: TenantScope,
  { id, platform }: Installation,
  { conversation, sender, text, metadata }: WaitingMessage,
  signal: AbortSignal,
): Promise<Asked> {
  const { context } = scope;
  const { sessionId, known } = await sessionOf(scope, { installation: id, platform, conversation }, ports);
  const about: Record<string, Json> = { ...metadata, installation: id };
  const userId = await userOf(scope, sender);
  const session: NewSession = known ?? { sessionId, userId, platform, metadata: about };
  const message = {
    id: uuidV7(ports.clock, ports.random),
    text,
    userId,
    sessionId,
    tenantId: context.tenant.id,
    platform,
    metadata: about,
    history: known ? await readHistory(scope, known) : [],
    at: new Date(ports.clock.now()).toISOString(),
  };
  const isNew = known === undefined;
  try {
    await admitUser(scope, userId);
    const answer = await collect(ports.invoker.invoke(context, message, signal, { stream: false }));
    return { session, isNew, answer, problem: undefined };
  } catch (error) {
    signal.throwIfAborted();
    const problem = toFault(error);
    if (LATER.has(problem.code)) throw problem;
    return { session, isNew, answer: undefined, problem };
  }
}

/** A person of the platform says which user it is. The code is for nobody else, so no agent gets it and no session keeps it. */
async function link(scope: TenantScope, { sender }: WaitingMessage, code: string): Promise<Asked> {
  const said = (await useLinkCode(scope, sender, code))
    ? "You are recognised from now on."
    : "This code is not good, or no longer. Ask for another one.";
  return { session: undefined, isNew: false, answer: undefined, problem: undefined, said };
}

/** Waits once where the platform says for how long; any other failure is left to the retries of the event. */
async function patiently<T>(work: () => Promise<T>, signal: AbortSignal): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const waitMs = error instanceof Fault && error.code === "rate_limited" ? error.public.retryAfterMs : undefined;
    if (waitMs === undefined || waitMs > PAUSE_MS_MAX) throw error;
    await pause(waitMs, undefined, { signal });
    return await work();
  }
}
