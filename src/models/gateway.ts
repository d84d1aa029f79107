import { type Clock, Fault, type Keyring, type Random, type Secret, type Tenant } from "../kernel/index.ts";
import type { Audit } from "../tenancy/audit/index.ts";
import { RetryBudget } from "../tenancy/limits/index.ts";
import { type Answer, answerInside, type Egress, type Forward, type InsideAnswer, type UpstreamPool } from "../wire/index.ts";
import { type FoundAnswer, openAnswers } from "./answer-cache.ts";
import { type CallerNames, createCallerNames } from "./caller-names.ts";
import type { Attempt } from "./attempts.ts";
import { countTokens } from "./count-tokens.ts";
import type { BudgetBook } from "./budgets/budget-book.ts";
import { Hold } from "./budgets/hold.ts";
import { embedText } from "./embed-text.ts";
import { ModelExchange } from "./exchange.ts";
import { type GuardrailPorts, Guardrails } from "./guardrails/guardrails.ts";
import { MODERATION_SECRET } from "./guardrails/moderation.ts";
import type { ModelMeasures } from "./measures.ts";
import { Estimates } from "./meter/estimates.ts";
import { NO_USAGE } from "./meter/usage.ts";
import type { AnswerGuard, ModelCall } from "./model-call.ts";
import { attendedModel, Passage, type PassedCall, type PassedTarget } from "./passage.ts";
import { type Place, Places } from "./places.ts";
import { PROTOCOLS } from "./protocols/index.ts";
import { createProviderIds, type ProviderIds } from "./provider-ids.ts";
import { type ModelRequest, readRequest, requestWith } from "./request.ts";
import { TargetHealth } from "./routing/health.ts";
import { orderTargets } from "./routing/order.ts";
import { sendingsFor } from "./sending.ts";
import type { ModelBook } from "./settings/book.ts";
import { type OpenModel, type OpenRoute, type Target, targetsFor } from "./settings/catalogue.ts";
import type { GuardrailSettings } from "./settings/guardrail-schema.ts";
import { priceAt } from "./settings/prices.ts";
import type { ModelProtocol } from "./settings/schema.ts";

/** What the gateway of models is built from. */
export interface ModelGatewayPorts {
  readonly book: ModelBook;
  readonly pool: UpstreamPool;
  readonly egress: Pick<Egress, "resolve" | "request">;
  /** Compiles a JSON Schema; throws for one that cannot be used. */
  readonly compileSchema: GuardrailPorts["compileSchema"];
  readonly keyring: Keyring;
  readonly clock: Clock;
  readonly random: Random;
  readonly audit: Pick<Audit, "record">;
  readonly ledger: AttemptSink;
  readonly budgets: Pick<BudgetBook, "due">;
  readonly measures: ModelMeasures;
  /** Told of faults that are not the caller's. */
  readonly report: (fault: Fault) => void;
}

/** Where tries at providers are written down. */
export interface AttemptSink {
  record(attempt: Attempt): void;
  /** Lines that could not be written yet. */
  readonly pending: number;
}

/** What one exchange works with. */
export interface ExchangePorts extends ModelGatewayPorts {
  readonly health: TargetHealth;
  readonly retries: RetryBudget;
  readonly estimates: Estimates;
  readonly callerNames: CallerNames;
  readonly providerIds: ProviderIds;
}

/** A request to a model that no caller has sent. */
export interface ModelQuestion extends Pick<ModelCall, "context" | "body" | "requestId" | "signal" | "cache"> {
  /** The most that is read of the answer. */
  readonly bytesMax: number;
}

/** Sends requests of tenants to the models that they may use. */
export interface ModelGateway {
  /**
   * Where the answer comes from. Throws `invalid_json`, `not_found` for a model that the tenant may not use, `malformed_request` for one that does
   * not speak this protocol, `insufficient_quota` and `rate_limited` with the budget's name, and what finding its provider throws.
   */
  begin(protocol: ModelProtocol, call: ModelCall): Promise<Forward | Answer>;
  /** How many tokens a request of Messages is. It uses no budget and has no line of the ledger. Throws as `begin`. */
  count(call: ModelCall): Promise<Forward | Answer>;
  /**
   * The whole answer to a request that the platform itself makes for a tenant, under the same rules, budgets and ledger as a caller's, whatever its
   * status. Throws as `begin`, and `upstream_invalid` for an answer over `bytesMax` or one that breaks off.
   */
  ask(protocol: ModelProtocol, question: ModelQuestion): Promise<InsideAnswer>;
  /**
   * Takes a request that somebody else sends to one of these targets, the platform's, under the rules of its tenant: guardrails, budgets, ledger and
   * names of callers. Throws as `begin`, but for what is about finding a provider.
   */
  attend(protocol: ModelProtocol, call: PassedCall, targets: readonly PassedTarget[]): Promise<Passage>;
  /** The names that the tenant may use. */
  models(tenant: Tenant): Promise<readonly OpenRoute[]>;
}

/** With so many lines that could not be written, nothing more is begun. */
const PENDING_MAX = 50_000;
/** Targets of one request at most, the first among them. */
const TARGETS_MAX = 4;

/** A gateway that has learned nothing yet. */
export function createModelGateway(ports: ModelGatewayPorts): ModelGateway {
  const shared: ExchangePorts = {
    ...ports,
    health: new TargetHealth(),
    retries: new RetryBudget(),
    estimates: new Estimates(),
    callerNames: createCallerNames(ports.keyring),
    providerIds: createProviderIds(ports.keyring),
  };
  const places = new Places(ports);
  const guardrails: MadeGuardrails = new WeakMap();
  const gateway: ModelGateway = {
    async begin(protocol, call) {
      const { tenant } = call.context;
      const { cache, guardrails: settings } = await ports.book.catalogue(tenant);
      const came = readRequest(PROTOCOLS[protocol], call.body);
      const targets = await targetsOf(shared, tenant, came);
      const { request, guard } = await guarded(came, settings && (await guardFor(ports, guardrails, settings, call)));
      const kept =
        cache &&
        (await openAnswers({
          cache: call.cache,
          settings: cache,
          name: guard?.guardrails.name ?? "",
          request,
          targets: targets.map(({ model }) => model.name),
          clock: ports.clock,
          embed: (asked) => embedText(gateway, ports, call, asked),
        }));
      if (kept && !request.stream) noteLooking(ports, call, request, targets, kept.found);
      if (kept?.found) return kept.found.answer;
      shared.retries.count(tenant.uuid, ports.clock.monotonic());
      const found = await placesOf(places, tenant, targets);
      const answerGuard = answerGuardOf(guard, request);
      // an answer that is held until it is whole cannot ask for more of a budget while it comes
      const sendings = await sendingsFor(request, found, (each) => shared.providerIds.request(tenant, each));
      const models = sendings.map(({ place }) => place.target.model);
      const hold = await holdFor(shared, call, { ...request, stream: request.stream && !answerGuard }, models, [[request.model]]);
      const exchange = new ModelExchange(shared, call, request, sendings, hold, { keeper: kept?.keeper, guard: answerGuard });
      if (call.signal.aborted) throw call.signal.reason; // it settles itself when the exchange is over
      return exchange.start();
    },
    async count(call) {
      const { guardrails: settings } = await ports.book.catalogue(call.context.tenant);
      const came = readRequest(PROTOCOLS.messages, call.body);
      const targets = await targetsOf(shared, call.context.tenant, came);
      const { request } = await guarded(came, settings && (await guardFor(ports, guardrails, settings, call)));
      return await countTokens(shared, call, request, targets, (target) => places.find(call.context.tenant, target));
    },
    async ask(protocol, { bytesMax, ...question }) {
      return await answerInside((call) => gateway.begin(protocol, { ...question, ...call }), { bytesMax, signal: question.signal });
    },
    attend: (protocol, call, targets) => attend(shared, guardrails, protocol, call, targets),
    async models(tenant) {
      return [...(await ports.book.catalogue(tenant)).routes.values()];
    },
  };
  return gateway;
}

/** What a request needs that somebody else sends. */
async function attend(
  ports: ExchangePorts,
  known: MadeGuardrails,
  protocol: ModelProtocol,
  call: PassedCall,
  targets: readonly PassedTarget[],
): Promise<Passage> {
  const { book } = ports;
  const { guardrails: settings } = await book.catalogue(call.context.tenant);
  const came = readRequest(PROTOCOLS[protocol], call.body, targets[0]?.name);
  const { request: looked, guard } = await guarded(came, settings && (await guardFor(ports, known, settings, call)));
  const request = ports.providerIds.request(call.context.tenant, looked);
  const answerGuard = answerGuardOf(guard, request);
  const sent = new Map(
    targets.map((target) => {
      const made = requestWith(request, target.put);
      return [target, { request: made, model: attendedModel(target, made.model, book) }];
    }),
  );
  const all = [...sent.values()];
  const most = { ...mostOf(request, all), ...(answerGuard && { stream: false }) };
  const names = all.map(({ model, request: { model: said } }) => [model.name, said] as const);
  const models = all.map(({ model }) => model);
  return new Passage(ports, call, request, sent, await holdFor(ports, call, most, models, names), answerGuard);
}

/** Guardrails by the settings that they are made of: made once for each change of them. */
type MadeGuardrails = WeakMap<GuardrailSettings, Promise<Guardrails>>;

async function guardFor(
  ports: ModelGatewayPorts,
  known: MadeGuardrails,
  settings: GuardrailSettings,
  call: Pick<ModelCall, "context" | "requestId" | "signal">,
): Promise<AnswerGuard> {
  const made = known.get(settings) ?? Guardrails.open(settings, ports);
  known.set(settings, made);
  const { context, requestId, signal } = call;
  const secret = (): Promise<Secret | undefined> => ports.book.key(context.tenant, "tenant", MODERATION_SECRET);
  return { guardrails: await made, call: { context, requestId, signal, secret } };
}

/** Counts that the cache was asked, and writes down what it has answered. */
function noteLooking(
  { clock, ledger, measures }: ModelGatewayPorts,
  call: ModelCall,
  request: ModelRequest,
  targets: readonly Target[],
  found: FoundAnswer | undefined,
): void {
  const { tenant } = call.context;
  const line = cachedLine(clock, call, request, targets, found?.target);
  measures.looked(tenant, line, found?.by ?? "miss");
  if (!found) return;
  ledger.record(line);
  measures.tried(tenant, line, true);
}

/** The request as the tenant's guardrails let it through. */
async function guarded(
  came: ModelRequest,
  guard: AnswerGuard | undefined,
): Promise<{ readonly request: ModelRequest; readonly guard: AnswerGuard | undefined }> {
  return { request: guard ? await guard.guardrails.request(came, guard.call) : came, guard };
}

/** The request that uses the most of those that are made of it. */
function mostOf(request: ModelRequest, all: readonly { readonly request: ModelRequest; readonly model: OpenModel }[]): ModelRequest {
  return {
    ...request,
    stream: all.every((each) => each.request.stream),
    choices: Math.max(...all.map((each) => each.request.choices)),
    outputMax: Math.max(...all.map((each) => each.request.outputMax ?? each.model.settings.outputTokensMax)),
  };
}

/** What looks at the answer, where something does and there is text in it. */
function answerGuardOf(guard: AnswerGuard | undefined, { protocol }: ModelRequest): AnswerGuard | undefined {
  return guard?.guardrails.looksAtAnswers === true && protocol.outputMembers.length > 0 ? guard : undefined;
}

/** The line of an answer that nobody was asked for: it has used nothing. */
function cachedLine(
  clock: Clock,
  { context, requestId }: ModelCall,
  request: ModelRequest,
  targets: readonly Target[],
  found: string | undefined,
): Attempt {
  const model = (targets.find((each) => each.model.name === found) ?? targets[0])?.model;
  return {
    tenant: context.tenant.uuid,
    requestId,
    attempt: 1,
    at: clock.now(),
    principal: context.principal.id,
    model: request.model,
    target: found ?? model?.name ?? "",
    provider: model?.provider.name ?? "",
    owner: model?.owner ?? "platform",
    protocol: request.protocol.name,
    outcome: "cached",
    status: 200,
    source: "none",
    usage: NO_USAGE,
    cost: 0,
    firstByteMs: 0,
    totalMs: 0,
  };
}

/** Takes what the request can use of every budget that it counts for, at whichever of the models, by their names. */
async function holdFor(
  ports: ExchangePorts,
  { context }: Pick<ModelCall, "context">,
  request: ModelRequest,
  models: readonly OpenModel[],
  names: readonly (readonly [string, ...string[]])[],
): Promise<Hold> {
  const { book, budgets, estimates, clock, ledger, measures } = ports;
  if (ledger.pending > PENDING_MAX) throw new Fault("dependency_unavailable", "the ledger cannot be written");
  const { budgets: all } = await book.catalogue(context.tenant);
  const due = names.flatMap((each) => budgets.due(all, context, each));
  const { uuid } = context.tenant;
  const hasAnswer = request.protocol.outputMembers.length > 0;
  const most = (of: (name: string) => number): number => Math.max(...models.map(({ name }) => of(name)));
  const longest = request.outputMax ?? Math.max(...models.map(({ settings }) => settings.outputTokensMax));
  const taking = Hold.take([...new Map(due.map((each) => [each.account, each])).values()], {
    inputMax: estimates.inputMax(request.body.length),
    input: most((name) => estimates.input(uuid, name, request.body.length)),
    outputMax: hasAnswer ? longest * request.choices : 0,
    output: hasAnswer ? most((name) => estimates.output(uuid, name)) * request.choices : 0,
    stream: request.stream,
    targets: models.map(({ owner, settings }) => ({ owner, price: priceAt(settings.prices, clock.now()) })),
  });
  try {
    return await taking;
  } catch (error) {
    const [first] = models;
    if (first && error instanceof Fault && error.status === 429)
      measures.refused(context.tenant, { target: first.name, owner: first.owner });
    throw error;
  }
}

async function targetsOf(ports: ExchangePorts, tenant: Tenant, request: ModelRequest): Promise<readonly Target[]> {
  const { routes } = await ports.book.catalogue(tenant);
  const route = routes.get(request.model);
  if (!route) {
    const detail = "There is no model of this name, or you may not use it. GET /v1/models lists those that you may.";
    throw new Fault("not_found", `${tenant.id} may not use ${request.model}`, { public: { detail, field: "model" } });
  }
  const speaking = targetsFor(route, request.protocol.name);
  if (speaking.length === 0) {
    const spoken = [...new Set(route.targets.flatMap(({ model }) => model.provider.protocols))].join(", ");
    const detail = `This model is not reached by this path. It speaks: ${spoken}.`;
    throw new Fault("malformed_request", detail, { public: { detail, field: "model" } });
  }
  const { health, random, clock } = ports;
  const ordered = orderTargets(route, speaking, request, tenant, { health, random, nowMs: clock.monotonic() });
  if (ordered.length > 0) return ordered.slice(0, TARGETS_MAX);
  const detail = "No target of this route takes such a request.";
  throw new Fault("malformed_request", detail, { public: { detail, field: "model" } });
}

/** The targets that can be reached, as far as that is known before asking them. When there is none, the first one's reason is thrown. */
async function placesOf(places: Places, tenant: Tenant, targets: readonly Target[]): Promise<readonly Place[]> {
  const found = await Promise.allSettled(targets.map((target) => places.find(tenant, target)));
  const open = found.flatMap((result) => (result.status === "fulfilled" ? [result.value] : []));
  const [first] = found;
  if (open.length === 0 && first?.status === "rejected") throw first.reason;
  return open;
}
