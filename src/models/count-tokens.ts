import type { Fault } from "../kernel/index.ts";
import type { Answer, Forward } from "../wire/index.ts";
import type { ExchangePorts } from "./gateway.ts";
import { withMembers } from "./meter/members.ts";
import type { ModelCall } from "./model-call.ts";
import { answerFields, fieldsFor, KEEP_ALIVE, type Place, targetOf } from "./places.ts";
import { messages } from "./protocols/messages.ts";
import { unanswered, unusableAnswer } from "./refused-answers.ts";
import type { ModelRequest } from "./request.ts";
import type { Target } from "./settings/catalogue.ts";

/** A count is short work. */
const TIMEOUT_MS = 15_000;
const COUNTING = { ...messages, path: () => `${messages.path("", false)}/count_tokens` };

/**
 * How many tokens a request of Messages is before it is sent. A provider that speaks Messages is asked, which costs nothing; for any other it is what such
 * requests of this tenant have used lately, a little more rather than less.
 */
export async function countTokens(
  ports: ExchangePorts,
  call: ModelCall,
  request: ModelRequest,
  targets: readonly Target[],
  find: (target: Target) => Promise<Place>,
): Promise<Forward | Answer> {
  const { tenant } = call.context;
  const speaking = targets.find(({ model }) => model.provider.protocols.includes("messages"));
  if (speaking) return forward(ports, call, request, await find(speaking));
  const name = targets[0]?.model.name ?? request.model;
  const tokens = ports.estimates.input(tenant.uuid, name, request.body.length);
  return { status: 200, headers: { "content-type": "application/json" }, body: JSON.stringify({ input_tokens: tokens }) };
}

function forward(ports: ExchangePorts, { context, head, requestId }: ModelCall, came: ModelRequest, place: Place): Forward {
  const { model } = place.target;
  const request = model.owner === "platform" ? ports.providerIds.request(context.tenant, came) : came;
  const { timeouts } = model.provider;
  const target = targetOf(model, { protocol: COUNTING, stream: false });
  const body = withMembers(request.body, request.members, {
    ...(model.upstreamName !== request.model && { model: model.upstreamName }),
    ...ports.callerNames.membersFor(context.tenant, request, model),
  });
  const fieldOf = (name: string): string | undefined => ports.callerNames.fieldFor(context.tenant, name, head, model);
  const refusal = (fault: Fault): Answer => request.protocol.refusal(fault, requestId);
  return {
    pool: ports.pool,
    owner: context.tenant.uuid,
    origin: place.origin,
    keepAlive: KEEP_ALIVE,
    method: "POST",
    target,
    headers: fieldsFor(place, { protocol: COUNTING, target, body, nowMs: ports.clock.now() }, fieldOf, requestId),
    body,
    upgrade: false,
    timeouts: { connectMs: timeouts.connectMs, sendMs: TIMEOUT_MS, readMs: Math.min(timeouts.silenceMs, TIMEOUT_MS) },
    onResponse: ({ status, headers }) => {
      const unusable = unusableAnswer(model, status, headers.all("content-encoding"));
      if (!unusable) return { kind: "pass", status, headers: answerFields(headers, { "x-freehold-model": model.name }) };
      if (model.owner === "platform") ports.report(unusable);
      return { kind: "replace", answer: refusal(unusable) };
    },
    onFailure: (failure) => refusal(unanswered(failure)),
  };
}
