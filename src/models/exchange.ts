import { Fault, toFault } from "../kernel/index.ts";
import type { Answer, Forward, ForwardFailure, HeaderEdit, ResponseHead, ResponsePlan } from "../wire/index.ts";
import { isStreamed, RequestAccount, type Try } from "./account.ts";
import { type AnswerSteps, planFor } from "./answer-plans.ts";
import type { AnswerKeeper } from "./answer-cache.ts";
import type { Hold } from "./budgets/hold.ts";
import type { ExchangePorts } from "./gateway.ts";
import { SERVER_SENT } from "./meter/event-stream.ts";
import { withMembers } from "./meter/members.ts";
import type { AnswerGuard, ModelCall } from "./model-call.ts";
import { answerFields, fieldsFor, KEEP_ALIVE, targetOf } from "./places.ts";
import type { ModelRequest } from "./request.ts";
import { restOf, rewordedError, unanswered, unusableAnswer } from "./refused-answers.ts";
import type { Sending } from "./sending.ts";
import { targetKey } from "./routing/order.ts";

/** What is done with the answer besides passing it on. */
interface AnswerHandling {
  /** Where a whole answer is kept; undefined where the tenant wants none kept. */
  readonly keeper: AnswerKeeper | undefined;
  /** What looks at it before it goes on. */
  readonly guard: AnswerGuard | undefined;
}

/** Answers after which another target is asked, as long as there is one. */
const FAILURES: ReadonlySet<number> = new Set([408, 429, 500, 502, 503, 504, 529]);
/** Where providers name their own request. */
const UPSTREAM_IDS = ["x-request-id", "request-id", "x-amzn-requestid"] as const;
const SEND_TIMEOUT_MS = 30_000;

/** One request at its targets, one after the other until one answers. */
export class ModelExchange {
  readonly #ports: ExchangePorts;
  readonly #call: ModelCall;
  readonly #request: ModelRequest;
  readonly #sendings: readonly Sending[];
  readonly #account: RequestAccount;
  readonly #handling: AnswerHandling;

  constructor(
    ports: ExchangePorts,
    call: ModelCall,
    request: ModelRequest,
    sendings: readonly Sending[],
    hold: Hold,
    handling: AnswerHandling,
  ) {
    this.#ports = ports;
    this.#call = call;
    this.#request = request;
    this.#sendings = sendings;
    this.#account = new RequestAccount(ports, call, request, hold);
    this.#handling = handling;
  }

  /** The first try. */
  start(): Forward {
    return this.#try(0);
  }

  #try(at: number): Forward {
    const sending = this.#sendings[at];
    if (!sending) throw new Fault("internal", "no target is left to try");
    const { place, translation, request } = sending;
    const { model } = place.target;
    const attempt = this.#account.begin(model, request);
    const { provider } = model;
    const { context, head, requestId } = this.#call;
    const { callerNames } = this.#ports;
    const fieldOf = (name: string): string | undefined =>
      translation ? translation.fields[name] : callerNames.fieldFor(context.tenant, name, head, model);
    const target = targetOf(model, request);
    const body = this.#bodyFor(sending);
    return {
      pool: this.#ports.pool,
      owner: context.tenant.uuid,
      origin: place.origin,
      keepAlive: KEEP_ALIVE,
      method: "POST",
      target,
      headers: fieldsFor(place, { protocol: request.protocol, target, body, nowMs: this.#ports.clock.now() }, fieldOf, requestId),
      body,
      upgrade: false,
      timeouts: { connectMs: provider.timeouts.connectMs, sendMs: SEND_TIMEOUT_MS, readMs: provider.timeouts.silenceMs },
      onResponse: (response) => this.#answered(attempt, at, response),
      onFailure: (failure) => this.#failed(attempt, at, failure),
    };
  }

  /** The caller's bytes, with another value only where the target demands it. */
  #bodyFor({ place, request }: Sending): Uint8Array {
    const { protocol, body, members, values, stream } = request;
    const { model } = place.target;
    return withMembers(body, members, {
      ...(model.upstreamName !== request.model && { model: model.upstreamName }),
      ...(stream && protocol.askForUsage(values)),
      ...this.#ports.callerNames.membersFor(this.#call.context.tenant, request, model),
      ...this.#account.bound(request),
    });
  }

  #answered(attempt: Try, at: number, { status, headers, hasBody }: ResponseHead): ResponsePlan {
    const { clock, health } = this.#ports;
    const { tenant } = this.#call.context;
    const { model } = attempt;
    const key = targetKey(model);
    const nowMs = clock.monotonic();
    this.#account.answered(attempt, status);
    if (FAILURES.has(status)) health.failed(tenant.uuid, key, nowMs, restOf(headers.all("retry-after")));
    else if (status < 300) health.succeeded(tenant.uuid, key, attempt.firstByteMs);
    if (FAILURES.has(status) && this.#mayTry(at + 1, nowMs)) {
      this.#account.end(attempt, "failed", "more follow");
      return { kind: "retry", forward: this.#try(at + 1) };
    }
    const unusable = unusableAnswer(model, status, headers.all("content-encoding"));
    if (unusable) {
      if (model.owner === "platform") this.#ports.report(unusable);
      this.#account.end(attempt, "failed");
      return { kind: "replace", answer: this.#refusal(unusable) };
    }
    const type = headers.all("content-type")[0] ?? "";
    const upstreamId = UPSTREAM_IDS.flatMap((name) => headers.all(name))[0];
    const isTranslated = this.#sendings[at]?.translation !== undefined;
    const fields = answerFields(headers, {
      ...(isTranslated && { "content-type": isStreamed(attempt, type) ? SERVER_SENT.type : "application/json" }),
      "x-freehold-model": model.name,
      "x-freehold-attempts": String(attempt.number),
      ...(upstreamId !== undefined && { "x-freehold-upstream-request-id": upstreamId.slice(0, 200) }),
    });
    if (status >= 300 && isTranslated) {
      this.#account.end(attempt, "refused");
      return rewordedError(this.#request.protocol, status, fields);
    }
    if (status >= 300 || !hasBody) {
      this.#account.end(attempt, status >= 300 ? "refused" : "ok");
      return { kind: "pass", status, headers: fields };
    }
    return planFor(this.#stepsFor(attempt, at, fields, type));
  }

  #stepsFor(attempt: Try, at: number, headers: HeaderEdit, type: string): AnswerSteps {
    const account = this.#account;
    const translation = this.#sendings[at]?.translation;
    const { guard } = this.#handling;
    const { protocol, model, stream } = this.#request;
    const { status, request } = attempt;
    const streamed = isStreamed(attempt, type);
    const told = { id: this.#call.requestId, model, createdMs: this.#ports.clock.now() };
    return {
      status,
      headers,
      isStream: streamed,
      meter: account.meter(attempt, streamed, request.protocol.askForUsage(request.values) !== undefined),
      seen: (piece, made) => account.seen(attempt, piece, made),
      over: (outcome) => account.end(attempt, outcome),
      stopped: () => attempt.stopped,
      ending: (fault) => account.ending(attempt, fault),
      keep: (piece) => {
        if (status === 200) this.#keep(piece, type, attempt.model.name);
      },
      refusal: (fault) => this.#refusal(fault),
      ids:
        attempt.model.owner === "platform" && !translation
          ? this.#ports.providerIds.answer(this.#call.context.tenant, this.#request, streamed)
          : undefined,
      translate: translation && ((body, ending) => translation.answer(body, type, told, ending)),
      look: guard && ((body) => guard.guardrails.answer(protocol, model, body, streamed && stream, guard.call)),
    };
  }

  #keep(piece: Uint8Array | undefined, type: string, target: string): void {
    const { keeper } = this.#handling;
    if (piece) keeper?.see(piece);
    else keeper?.keep(type, target).catch((error: unknown) => this.#ports.report(toFault(error)));
  }

  #failed(attempt: Try, at: number, failure: ForwardFailure): Forward | Answer {
    const { clock, health } = this.#ports;
    const nowMs = clock.monotonic();
    health.failed(this.#call.context.tenant.uuid, targetKey(attempt.model), nowMs);
    const mayTry = this.#mayTry(at + 1, nowMs);
    this.#account.end(attempt, "failed", mayTry ? "more follow" : "last");
    if (mayTry) return this.#try(at + 1);
    return this.#refusal(unanswered(failure));
  }

  #mayTry(at: number, nowMs: number): boolean {
    return at < this.#sendings.length && !this.#call.signal.aborted && this.#ports.retries.take(this.#call.context.tenant.uuid, nowMs);
  }

  #refusal(fault: Fault): Answer {
    return this.#request.protocol.refusal(fault, this.#call.requestId);
  }
}
