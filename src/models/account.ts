import { Fault } from "../kernel/index.ts";
import type { Attempt, Outcome } from "./attempts.ts";
import type { Hold, Used } from "./budgets/hold.ts";
import type { ExchangePorts } from "./gateway.ts";
import { type AnswerMeter, StreamMeter, WholeMeter } from "./meter/answer-meter.ts";
import type { ModelCall } from "./model-call.ts";
import { NO_USAGE, type TokenUsage } from "./meter/usage.ts";
import { memberWith, type ModelRequest, type ProviderRequest, valueAt } from "./request.ts";
import type { OpenModel } from "./settings/catalogue.ts";
import { costOf, priceAt } from "./settings/prices.ts";

/** Ways to end in which nothing was got for a request. */
const UNCHARGED: ReadonlySet<Outcome> = new Set(["failed", "refused"]);

/** A try that is under way. */
export interface Try {
  readonly model: OpenModel;
  /** As it is sent, in the provider's protocol. */
  readonly request: ProviderRequest;
  readonly number: number;
  readonly startedMs: number;
  firstByteMs: number;
  status: number;
  meter: AnswerMeter | undefined;
  /** Why the answer was ended here. */
  stopped: Fault | undefined;
}

/** What is known of the call that is accounted for. */
export type AccountedCall = Pick<ModelCall, "context" | "head" | "requestId" | "onEnd">;

/** Keeps the account of one request: whatever happens, each try becomes one line of the ledger, and the request is settled once. */
export class RequestAccount {
  readonly #ports: ExchangePorts;
  readonly #call: AccountedCall;
  /** As it came. */
  readonly #request: ModelRequest;
  readonly #hold: Hold;
  /** Over all tries. */
  #used: Used = { requests: 0, usage: { input: 0, output: 0 }, cost: 0, platformCost: 0 };
  #tries = 0;
  #current: Try | undefined;

  constructor(ports: ExchangePorts, call: AccountedCall, request: ModelRequest, hold: Hold) {
    this.#ports = ports;
    this.#call = call;
    this.#request = request;
    this.#hold = hold;
    call.onEnd(({ aborted }) => this.#over(aborted ? "aborted" : "broken"));
  }

  /** The try that is under way, if one is. */
  get current(): Try | undefined {
    return this.#current;
  }

  /** From now on this try is under way. The one before has to be over. */
  begin(model: OpenModel, request: ProviderRequest): Try {
    this.#current = {
      model,
      request,
      number: ++this.#tries,
      startedMs: this.#ports.clock.monotonic(),
      firstByteMs: 0,
      status: 0,
      meter: undefined,
      stopped: undefined,
    };
    return this.#current;
  }

  /** The members that bound the answer by what is paid for, instead of a refusal. */
  bound({ protocol, values, choices, outputMax }: ProviderRequest): Readonly<Record<string, unknown>> {
    const paid = this.#hold.outputMax;
    const [first] = protocol.outputMembers;
    if (paid === undefined || first === undefined) return {};
    const each = Math.max(1, Math.floor(paid / choices));
    if (outputMax !== undefined && outputMax <= each) return {};
    const said = protocol.outputMembers.filter((path) => typeof valueAt(values, path).value === "number");
    return Object.fromEntries((said.length > 0 ? said : [first]).map((path) => memberWith(values, path, each)));
  }

  /** The head of its answer is here. */
  answered(attempt: Try, status: number): void {
    attempt.status = status;
    attempt.firstByteMs = this.#ports.clock.monotonic() - attempt.startedMs;
  }

  /** Reads its answer from now on. `hideUsage`: the caller has not asked for what the protocol had to ask for. */
  meter(attempt: Try, isStream: boolean, hideUsage: boolean): WholeMeter | StreamMeter {
    const { protocol } = attempt.request;
    const meter = isStream
      ? new StreamMeter({
          splitter: protocol.streams.createSplitter(),
          reader: protocol.createReader(hideUsage),
          stop: () => (attempt.stopped = this.#mustStop(attempt)),
          ending: (fault) => this.ending(attempt, fault),
        })
      : new WholeMeter(protocol);
    attempt.meter = meter;
    return meter;
  }

  /** What ends a stream of the caller's protocol that may not go on. */
  ending(attempt: Try, fault: Fault): string {
    return this.#request.protocol.endOfStream(fault, this.#counted(attempt), this.#request.model);
  }

  /** Settles as soon as the end is known, and not when the caller has read it. */
  seen<T>(attempt: Try, piece: Uint8Array | undefined, made: T): T {
    if (piece === undefined) this.end(attempt, "ok");
    else if (attempt.stopped) this.end(attempt, "cut");
    return made;
  }

  /** The line of this try. Only its first end counts. */
  end(attempt: Try, outcome: Outcome, then: "last" | "more follow" = "last"): void {
    if (this.#current !== attempt) return;
    this.#current = undefined;
    const { clock, ledger, measures } = this.#ports;
    const { context, requestId } = this.#call;
    const { model } = attempt;
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

  #over(outcome: Outcome): void {
    if (this.#current) this.end(this.#current, outcome);
    else this.#hold.settle(this.#used);
  }

  #mustStop(attempt: Try): Fault | undefined {
    const { answerMs } = attempt.model.provider.timeouts;
    if (this.#ports.clock.monotonic() - attempt.startedMs <= answerMs) return this.#hold.stop(this.#counted(attempt).output);
    return tooLong(answerMs);
  }

  /** What the try has used as far as it was seen here. */
  #counted({ model: { name }, meter }: Try): TokenUsage {
    const { estimates } = this.#ports;
    const { uuid } = this.#call.context.tenant;
    const input = estimates.input(uuid, name, this.#request.body.length);
    return { ...NO_USAGE, input, output: meter ? estimates.counted(uuid, name, meter.pieces, meter.bytes) : 0 };
  }

  #usageOf(attempt: Try, outcome: Outcome): { readonly usage: TokenUsage; readonly source: Attempt["source"] } {
    const { meter, model } = attempt;
    // whoever leaves before the answer leaves a provider at work that has read the prompt
    if (!meter && outcome !== "aborted") return { usage: NO_USAGE, source: "none" };
    if (!meter) return { usage: this.#counted(attempt), source: "counted" };
    const { uuid } = this.#call.context.tenant;
    const said = meter.usage;
    if (said.kind === "counted") {
      const answerBytes = meter instanceof StreamMeter ? meter.bytes : 0;
      this.#ports.estimates.learn(uuid, model.name, this.#request.body.length, answerBytes, said.usage);
      return { usage: said.usage, source: "reported" };
    }
    if (said.kind === "rejected") this.#audit(attempt, said.reason);
    else if (outcome === "ok") this.#audit(attempt, "missing");
    return { usage: this.#counted(attempt), source: "counted" };
  }

  /** A provider that says impossible numbers is written down: nobody is charged or credited by them. */
  #audit({ model }: Try, reason: string): void {
    const { tenant, principal } = this.#call.context;
    this.#ports.audit.record({
      action: "usage_rejected",
      reason,
      actor: principal.id,
      actorTenant: { id: tenant.id, uuid: tenant.uuid },
      targetTenant: null,
      requestId: this.#call.requestId,
      source: this.#call.head.remoteAddress,
      detail: { provider: model.provider.name, model: model.name },
    });
  }
}

/** Whether an answer of this media type is a stream of the protocol that was asked. */
export function isStreamed({ request }: Try, type: string): boolean {
  return type.toLowerCase().startsWith(request.protocol.streams.type);
}

function tooLong(answerMs: number): Fault {
  const detail = `The answer was not complete within ${answerMs} ms.`;
  return new Fault("upstream_timeout", detail, { public: { detail } });
}
