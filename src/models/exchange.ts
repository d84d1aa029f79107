import { Fault, toFault } from "../kernel/index.ts";
import {
  type Answer,
  FAILURE_CODES,
  type Forward,
  type ForwardFailure,
  type HeaderEdit,
  type ResponseHead,
  type ResponsePlan,
} from "../wire/index.ts";
import { type AnswerSteps, planFor } from "./answer-plans.ts";
import type { AnswerKeeper } from "./answer-cache.ts";
import type { Attempt, Outcome } from "./attempts.ts";
import type { Hold, Used } from "./budgets/hold.ts";
import type { ExchangePorts } from "./gateway.ts";
import { type AnswerMeter, StreamMeter, WholeMeter } from "./meter/answer-meter.ts";
import { SERVER_SENT } from "./meter/event-stream.ts";
import { withMembers } from "./meter/members.ts";
import type { AnswerGuard, ModelCall } from "./model-call.ts";
import { NO_USAGE, type TokenUsage } from "./meter/usage.ts";
import { answerFields, fieldsFor, KEEP_ALIVE, targetOf } from "./places.ts";
import { memberWith, type ModelRequest, type ProviderRequest, valueAt } from "./request.ts";
import { restOf, rewordedError, unusableAnswer, WORDS } from "./refused-answers.ts";
import type { Sending } from "./sending.ts";
import { targetKey } from "./routing/order.ts";
import { costOf, priceAt } from "./settings/prices.ts";

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
/** Ways to end in which nothing was got for a request. */
const UNCHARGED: ReadonlySet<Outcome> = new Set(["failed", "refused"]);
const SEND_TIMEOUT_MS = 30_000;

/** A try that is under way. */
interface Try extends Sending {
  readonly number: number;
  readonly startedMs: number;
  firstByteMs: number;
  status: number;
  meter: AnswerMeter | undefined;
  /** Why the answer was ended here. */
  stopped: Fault | undefined;
}

/**
 * One request at its targets, one after the other until one answers. Whatever happens, each try becomes one line of the ledger, and the request is
 * settled once.
 */
export class ModelExchange {
  readonly #ports: ExchangePorts;
  readonly #call: ModelCall;
  readonly #request: ModelRequest;
  readonly #sendings: readonly Sending[];
  readonly #hold: Hold;
  readonly #handling: AnswerHandling;
  /** Over all tries. */
  #used: Used = { requests: 0, usage: { input: 0, output: 0 }, cost: 0, platformCost: 0 };
  #tries = 0;
  #current: Try | undefined;

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
    this.#hold = hold;
    this.#handling = handling;
    call.onEnd(({ aborted }) => this.#over(aborted ? "aborted" : "broken"));
  }

  /** The first try. */
  start(): Forward {
    return this.#try(0);
  }

  #try(at: number): Forward {
    const sending = this.#sendings[at];
    if (!sending) throw new Fault("internal", "no target is left to try");
    const { place, translation } = sending;
    const attempt: Try = {
      ...sending,
      number: ++this.#tries,
      startedMs: this.#ports.clock.monotonic(),
      firstByteMs: 0,
      status: 0,
      meter: undefined,
      stopped: undefined,
    };
    this.#current = attempt;
    const { provider } = place.target.model;
    const { protocol } = sending.request;
    const { context, head, requestId } = this.#call;
    const { callerNames } = this.#ports;
    const fieldOf = (name: string): string | undefined =>
      translation ? translation.fields[name] : callerNames.fieldFor(context.tenant, name, head, place.target.model);
    const body = this.#bodyFor(sending);
    const target = targetOf(place.target.model, sending.request);
    return {
      pool: this.#ports.pool,
      owner: context.tenant.uuid,
      origin: place.origin,
      keepAlive: KEEP_ALIVE,
      method: "POST",
      target,
      headers: fieldsFor(place, { protocol, target, body, nowMs: this.#ports.clock.now() }, fieldOf, requestId),
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
      ...this.#bound(request),
    });
  }

  /** The answer is bounded by what is paid for, instead of being refused. */
  #bound({ protocol, values, choices, outputMax }: ProviderRequest): Readonly<Record<string, unknown>> {
    const paid = this.#hold.outputMax;
    const [first] = protocol.outputMembers;
    if (paid === undefined || first === undefined) return {};
    const each = Math.max(1, Math.floor(paid / choices));
    if (outputMax !== undefined && outputMax <= each) return {};
    const said = protocol.outputMembers.filter((path) => typeof valueAt(values, path).value === "number");
    return Object.fromEntries((said.length > 0 ? said : [first]).map((path) => memberWith(values, path, each)));
  }

  #answered(attempt: Try, at: number, { status, headers, hasBody }: ResponseHead): ResponsePlan {
    const { clock, health } = this.#ports;
    const { tenant } = this.#call.context;
    const key = targetKey(attempt.place.target.model);
    const nowMs = clock.monotonic();
    attempt.status = status;
    attempt.firstByteMs = nowMs - attempt.startedMs;
    if (FAILURES.has(status)) health.failed(tenant.uuid, key, nowMs, restOf(headers.all("retry-after")));
    else if (status < 300) health.succeeded(tenant.uuid, key, attempt.firstByteMs);
    if (FAILURES.has(status) && this.#mayTry(at + 1, nowMs)) {
      this.#end(attempt, "failed", "more follow");
      return { kind: "retry", forward: this.#try(at + 1) };
    }
    const { model } = attempt.place.target;
    const unusable = unusableAnswer(model, status, headers.all("content-encoding"));
    if (unusable) {
      if (model.owner === "platform") this.#ports.report(unusable);
      this.#end(attempt, "failed");
      return { kind: "replace", answer: this.#refusal(unusable) };
    }
    const type = headers.all("content-type")[0] ?? "";
    const upstreamId = UPSTREAM_IDS.flatMap((name) => headers.all(name))[0];
    const fields = answerFields(headers, {
      ...(attempt.translation && { "content-type": this.#isStream(attempt, type) ? SERVER_SENT.type : "application/json" }),
      "x-freehold-model": model.name,
      "x-freehold-attempts": String(attempt.number),
      ...(upstreamId !== undefined && { "x-freehold-upstream-request-id": upstreamId.slice(0, 200) }),
    });
    if (status >= 300 && attempt.translation) {
      this.#end(attempt, "refused");
      return rewordedError(this.#request.protocol, status, fields);
    }
    if (status >= 300 || !hasBody) {
      this.#end(attempt, status >= 300 ? "refused" : "ok");
      return { kind: "pass", status, headers: fields };
    }
    return planFor(this.#stepsFor(attempt, status, fields, type));
  }

  #stepsFor(attempt: Try, status: number, headers: HeaderEdit, type: string): AnswerSteps {
    const { translation, place } = attempt;
    const { guard } = this.#handling;
    const { protocol, model, stream } = this.#request;
    const isStream = this.#isStream(attempt, type);
    const told = { id: this.#call.requestId, model, createdMs: this.#ports.clock.now() };
    const meter = isStream ? this.#streamMeter(attempt) : new WholeMeter(attempt.request.protocol);
    attempt.meter = meter;
    return {
      status,
      headers,
      isStream,
      meter,
      seen: (piece, made) => this.#seen(attempt, piece, made),
      over: (outcome) => this.#end(attempt, outcome),
      stopped: () => attempt.stopped,
      ending: (fault) => this.#ending(attempt, fault),
      keep: (piece) => {
        if (status === 200) this.#keep(piece, type, place.target.model.name);
      },
      refusal: (fault) => this.#refusal(fault),
      translate: translation && ((body, ending) => translation.answer(body, type, told, ending)),
      look: guard && ((body) => guard.guardrails.answer(protocol, model, body, isStream && stream, guard.call)),
    };
  }

  #isStream({ request }: Try, type: string): boolean {
    return type.toLowerCase().startsWith(request.protocol.streams.type);
  }

  #streamMeter(attempt: Try): StreamMeter {
    const { protocol, values } = attempt.request;
    return new StreamMeter({
      splitter: protocol.streams.createSplitter(),
      reader: protocol.createReader(protocol.askForUsage(values) !== undefined),
      stop: () => (attempt.stopped = this.#mustStop(attempt)),
      ending: (fault) => this.#ending(attempt, fault),
    });
  }

  #ending(attempt: Try, fault: Fault): string {
    return this.#request.protocol.endOfStream(fault, this.#counted(attempt), this.#request.model);
  }

  #keep(piece: Uint8Array | undefined, type: string, target: string): void {
    const { keeper } = this.#handling;
    if (piece) keeper?.see(piece);
    else keeper?.keep(type, target).catch((error: unknown) => this.#ports.report(toFault(error)));
  }

  /** Settles as soon as the end is known, and not when the caller has read it. */
  #seen<T>(attempt: Try, piece: Uint8Array | undefined, made: T): T {
    if (piece === undefined) this.#end(attempt, "ok");
    else if (attempt.stopped) this.#end(attempt, "cut");
    return made;
  }

  #mustStop(attempt: Try): Fault | undefined {
    const { place, startedMs } = attempt;
    const { answerMs } = place.target.model.provider.timeouts;
    if (this.#ports.clock.monotonic() - startedMs <= answerMs) return this.#hold.stop(this.#counted(attempt).output);
    const detail = `The answer was not complete within ${answerMs} ms.`;
    return new Fault("upstream_timeout", detail, { public: { detail } });
  }

  #failed(attempt: Try, at: number, { kind, reason }: ForwardFailure): Forward | Answer {
    const { clock, health } = this.#ports;
    const nowMs = clock.monotonic();
    health.failed(this.#call.context.tenant.uuid, targetKey(attempt.place.target.model), nowMs);
    const mayTry = this.#mayTry(at + 1, nowMs);
    this.#end(attempt, "failed", mayTry ? "more follow" : "last");
    if (mayTry) return this.#try(at + 1);
    return this.#refusal(new Fault(FAILURE_CODES[kind], reason, { public: { detail: WORDS[FAILURE_CODES[kind]] ?? "" } }));
  }

  #mayTry(at: number, nowMs: number): boolean {
    return at < this.#sendings.length && !this.#call.signal.aborted && this.#ports.retries.take(this.#call.context.tenant.uuid, nowMs);
  }

  #refusal(fault: Fault): Answer {
    return this.#request.protocol.refusal(fault, this.#call.requestId);
  }

  /** What the try has used as far as it was seen here. */
  #counted({ place, meter }: Try): TokenUsage {
    const { estimates } = this.#ports;
    const { uuid } = this.#call.context.tenant;
    const { name } = place.target.model;
    const input = estimates.input(uuid, name, this.#request.body.length);
    return { ...NO_USAGE, input, output: meter ? estimates.counted(uuid, name, meter.pieces, meter.bytes) : 0 };
  }

  #over(outcome: Outcome): void {
    if (this.#current) this.#end(this.#current, outcome);
    else this.#hold.settle(this.#used);
  }

  /** The line of this try. Only its first end counts. */
  #end(attempt: Try, outcome: Outcome, then: "last" | "more follow" = "last"): void {
    if (this.#current !== attempt) return;
    this.#current = undefined;
    const { clock, ledger, measures } = this.#ports;
    const { context, requestId } = this.#call;
    const { model } = attempt.place.target;
    const { usage, source } = this.#usageOf(attempt, outcome);
    const price = priceAt(model.settings.prices, clock.now());
    const line: Attempt = {
      tenant: context.tenant.uuid,
      requestId,
      attempt: attempt.number,
      at: clock.now(),
      principal: context.principal.id,
      model: this.#request.model,
      target: model.name,
      provider: model.provider.name,
      owner: model.owner,
      protocol: this.#request.protocol.name,
      outcome,
      status: attempt.status,
      source,
      usage,
      cost: price && (source === "none" ? 0 : costOf(price, usage)),
      firstByteMs: Math.round(attempt.firstByteMs),
      totalMs: Math.round(clock.monotonic() - attempt.startedMs),
    };
    ledger.record(line);
    measures.tried(context.tenant, line, then === "last");
    const { requests, usage: before, cost, platformCost } = this.#used;
    const lineCost = line.cost ?? 0;
    this.#used = {
      requests: requests === 1 || !UNCHARGED.has(outcome) ? 1 : 0,
      usage: { input: before.input + usage.input, output: before.output + usage.output },
      cost: cost + lineCost,
      platformCost: platformCost + (model.owner === "platform" ? lineCost : 0),
    };
    // with its lines, so that both are written together
    if (then === "last") this.#hold.settle(this.#used);
  }

  #usageOf(attempt: Try, outcome: Outcome): { readonly usage: TokenUsage; readonly source: Attempt["source"] } {
    const { meter, place } = attempt;
    // whoever leaves before the answer leaves a provider at work that has read the prompt
    if (!meter && outcome !== "aborted") return { usage: NO_USAGE, source: "none" };
    if (!meter) return { usage: this.#counted(attempt), source: "counted" };
    const { name } = place.target.model;
    const { uuid } = this.#call.context.tenant;
    const said = meter.usage;
    if (said.kind === "counted") {
      const answerBytes = meter instanceof StreamMeter ? meter.bytes : 0;
      this.#ports.estimates.learn(uuid, name, this.#request.body.length, answerBytes, said.usage);
      return { usage: said.usage, source: "reported" };
    }
    if (said.kind === "rejected") this.#audit(attempt, said.reason);
    else if (outcome === "ok") this.#audit(attempt, "missing");
    return { usage: this.#counted(attempt), source: "counted" };
  }

  /** A provider that says impossible numbers is written down: nobody is charged or credited by them. */
  #audit({ place }: Try, reason: string): void {
    const { tenant, principal } = this.#call.context;
    this.#ports.audit.record({
      action: "usage_rejected",
      reason,
      actor: principal.id,
      actorTenant: { id: tenant.id, uuid: tenant.uuid },
      targetTenant: null,
      requestId: this.#call.requestId,
      source: this.#call.head.remoteAddress,
      detail: { provider: place.target.model.provider.name, model: place.target.model.name },
    });
  }
}
