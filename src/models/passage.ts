import type { Tenant } from "../kernel/index.ts";
import { createHeaderList, type HeaderList, type ResponsePlan } from "../wire/index.ts";
import { isStreamed, RequestAccount, type Try } from "./account.ts";
import { planFor } from "./answer-plans.ts";
import type { Hold } from "./budgets/hold.ts";
import type { ExchangePorts } from "./gateway.ts";
import { withMembers } from "./meter/members.ts";
import type { AnswerGuard, ModelCall } from "./model-call.ts";
import { unusableAnswer } from "./refused-answers.ts";
import type { ModelRequest } from "./request.ts";
import type { ModelBook } from "./settings/book.ts";
import type { OpenModel } from "./settings/catalogue.ts";
import { toProvider } from "./settings/providers.ts";
import { type ProviderSettings, USUAL } from "./settings/schema.ts";

/** A call of a model that somebody else sends. */
export type PassedCall = Omit<ModelCall, "cache">;

/** A provider with a key of the platform's that somebody else sends requests to. */
export interface PassedTarget {
  /** Names it in the ledger. */
  readonly name: string;
  readonly kind: ProviderSettings["kind"];
  readonly base: URL;
  /** Members that are put into the caller's request for it. */
  readonly put: Readonly<Record<string, unknown>>;
}

/** What is sent to one target. */
interface Sent {
  readonly model: OpenModel;
  readonly request: ModelRequest;
}

/**
 * The model that a target stands for when it is sent this name: one that the platform knows has its price and its length. A name that only the caller
 * has made up names no account and no metric.
 */
export function attendedModel({ name, kind, base, put }: PassedTarget, said: string, book: Pick<ModelBook, "known">): OpenModel {
  const known = book.known(said);
  const own = typeof put["model"] === "string" ? put["model"] : name;
  return {
    name: known?.name ?? own,
    upstreamName: said,
    owner: "platform",
    provider: toProvider(name, { ...USUAL.provider, kind }, base),
    settings: known?.settings ?? USUAL.model,
  };
}

/** One request under the rules of its tenant that somebody else sends. Whoever sends it tells what becomes of each try. */
export class Passage {
  readonly #ports: ExchangePorts;
  readonly #call: PassedCall;
  readonly #request: ModelRequest;
  readonly #sent: ReadonlyMap<PassedTarget, Sent>;
  readonly #account: RequestAccount;
  readonly #guard: AnswerGuard | undefined;

  constructor(
    ports: ExchangePorts,
    call: PassedCall,
    request: ModelRequest,
    sent: ReadonlyMap<PassedTarget, Sent>,
    hold: Hold,
    guard: AnswerGuard | undefined,
  ) {
    this.#ports = ports;
    this.#call = call;
    this.#request = request;
    this.#sent = sent;
    this.#guard = guard;
    this.#account = new RequestAccount(ports, call, request, hold);
  }

  /** The bytes for a target: the caller's, with names of callers as MACs, what is put in, and bounded by what is paid for. */
  bodyFor(target: PassedTarget): Uint8Array {
    const sent = this.#sent.get(target);
    const { body, members } = this.#request;
    return withMembers(body, members, {
      ...(sent && this.#ports.callerNames.membersFor(this.#tenant, this.#request, sent.model)),
      ...target.put,
      ...(sent && this.#account.bound(sent.request)),
    });
  }

  /** A header field of the caller's as it may be sent; undefined where it has sent none. */
  fieldFor(name: string, target: PassedTarget): string | undefined {
    const sent = this.#sent.get(target);
    return sent && this.#ports.callerNames.fieldFor(this.#tenant, name, this.#call.head, sent.model);
  }

  /** A try at this target begins. The one before has failed. */
  began(target: PassedTarget): void {
    const { current } = this.#account;
    if (current) this.#account.end(current, "failed", "more follow");
    const sent = this.#sent.get(target);
    if (sent) this.#account.begin(sent.model, sent.request);
  }

  /** The try has an answer of this status; 0 is none. */
  answered(status: number): void {
    const { current } = this.#account;
    if (current && status > 0) this.#account.answered(current, status);
  }

  /** The request is over without an answer of a provider. */
  failed(): void {
    const { current } = this.#account;
    if (current) this.#account.end(current, "failed");
  }

  /** How the answer of the try goes on; undefined for one that goes on as it is. Its fields are those of a refusal, if it is one. */
  answer(headers: Pick<HeaderList, "all">): ResponsePlan | undefined {
    const attempt = this.#account.current;
    if (!attempt) return undefined;
    const unusable = unusableAnswer(attempt.model, attempt.status, headers.all("content-encoding"));
    if (unusable) {
      this.#ports.report(unusable);
      this.#account.end(attempt, "failed");
      return { kind: "replace", answer: this.#request.protocol.refusal(unusable, this.#call.requestId) };
    }
    if (attempt.status < 300) return this.#plan(attempt, headers);
    this.#account.end(attempt, "refused");
    return undefined;
  }

  #plan(attempt: Try, headers: Pick<HeaderList, "all">): ResponsePlan {
    const account = this.#account;
    const guard = this.#guard;
    const { protocol, model } = this.#request;
    const { requestId } = this.#call;
    const streamed = isStreamed(attempt, headers.all("content-type")[0] ?? "");
    return planFor({
      status: attempt.status,
      headers: createHeaderList([]).edit(),
      isStream: streamed,
      meter: account.meter(attempt, streamed, false),
      seen: (piece, made) => account.seen(attempt, piece, made),
      over: (outcome) => account.end(attempt, outcome),
      stopped: () => attempt.stopped,
      ending: (fault) => account.ending(attempt, fault),
      keep: () => {},
      refusal: (fault) => protocol.refusal(fault, requestId),
      ids: this.#ports.providerIds.answer(this.#tenant, this.#request, streamed),
      translate: undefined,
      look: guard && ((body) => guard.guardrails.answer(protocol, model, body, streamed && attempt.request.stream, guard.call)),
    });
  }

  get #tenant(): Tenant {
    return this.#call.context.tenant;
  }
}
