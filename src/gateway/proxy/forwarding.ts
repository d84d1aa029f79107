import { Fault, FAULTS, type FaultCode } from "../../kernel/index.ts";
import type { FairTicket, RetryBudget } from "../../tenancy/limits/index.ts";
import {
  type Answer,
  FAILURE_CODES,
  type Forward,
  type ForwardFailure,
  type ForwardTimeouts,
  type HeaderEdit,
  type NameResolver,
  type Origin,
  type ResponseHead,
  type ResponsePlan,
} from "../../wire/index.ts";
import type { Node } from "../upstreams/node.ts";
import type { Upstream } from "../upstreams/upstream.ts";
import type { ProxyCall } from "./call.ts";
import { faultAnswer, pageAnswer } from "./error-answers.ts";
import { addHouseFields, runHeaderPhase, withHeaderPhase } from "./phases.ts";
import type { UpstreamTarget } from "./plugin.ts";
import { OwnTarget } from "./plugin-instances.ts";
import { setRequestHeaders } from "./request-headers.ts";
import { AnswerDraft } from "./response-draft.ts";

/** What is told about each try. */
export interface Forwarding {
  readonly budget: RetryBudget;
  readonly names: NameResolver;
  /** A node has answered. */
  succeeded(upstream: Upstream, node: Node, status: number, tenant: string | undefined): void;
  failed(upstream: Upstream, node: Node, kind: ForwardFailure["kind"], tenant: string | undefined): void;
  /** The first request to this upstream: its checks begin. */
  used(upstream: Upstream): void;
}

/** The first try of a call that has passed its phases; or the answer, when there is nowhere to send it to. May wait for its turn at a busy upstream. */
export function beginForward(call: ProxyCall, forwarding: Forwarding): Forward | Answer | Promise<Forward | Answer> {
  const upstream = upstreamOf(call);
  if (!(upstream && "pick" in upstream)) return withHeaderPhase(call, upstream ?? noUpstream(call));
  if (upstream.settings.scheme !== "http" && upstream.settings.scheme !== "https") return refused(call, "upstream_invalid", "scheme");
  call.triedUpstream = upstream;
  forwarding.used(upstream);
  const entered = takePlace(call, upstream);
  if (entered instanceof Promise) return entered.then(() => firstTry(call, upstream, forwarding));
  return firstTry(call, upstream, forwarding);
}

function upstreamOf(call: ProxyCall): Upstream | Answer | undefined {
  const { target } = call.upstream;
  if (target instanceof OwnTarget) {
    return target.upstream ?? call.program.upstreams.get(target.id) ?? missing(call, "upstream_unreachable", "the upstream of a plugin");
  }
  if (call.compiled?.dangling === "upstream") return missing(call, "upstream_unreachable", "the upstream of a route");
  return call.compiled?.upstream;
}

function missing(call: ProxyCall, code: FaultCode, what: string): Answer {
  return faultAnswer(new Fault(code, `${what} is not there`), call);
}

function noUpstream(call: ProxyCall): Answer {
  const fault = new Fault("dependency_unavailable", "the route has no upstream");
  if (call.profile === "strict") return faultAnswer(fault, call);
  call.fault = fault;
  return pageAnswer(503);
}

/** A fair upstream gives each tenant its share; the place is left when the exchange ends, however it ends. */
function takePlace(call: ProxyCall, { fair, settings }: Upstream): Promise<void> | undefined {
  if (!fair) return undefined;
  const tenant = call.context?.tenant;
  const plan = tenant && call.program.consumers.planOf(tenant.id, tenant.plan);
  const weight = plan === undefined ? 1 : call.program.consumers.weightOf(plan);
  // the caller's signal costs something to make, and only who waits needs it
  const waits = fair.active >= (settings.fair?.concurrency ?? 0) || fair.waiting > 0;
  const ticket = fair.enter(tenant?.uuid ?? "", weight, waits ? call.exchange.signal : undefined);
  if (ticket instanceof Promise) return ticket.then((taken) => keepTicket(call, taken));
  keepTicket(call, ticket);
  return undefined;
}

function keepTicket(call: ProxyCall, ticket: FairTicket): void {
  if (call.ended) ticket.leave();
  else call.ticket = ticket;
}

function firstTry(call: ProxyCall, upstream: Upstream, forwarding: Forwarding): Forward | Answer | Promise<Forward | Answer> {
  const { context, outer } = call;
  const nowMs = outer.clock.monotonic();
  if (context && upstream.retries > 0) forwarding.budget.count(context.tenant.uuid, nowMs);
  if (lacksCertificate(call, upstream)) return refused(call, "upstream_unreachable", "its client certificate is not there");
  const node = pick(call, upstream, nowMs);
  if (!node) return refused(call, "dependency_unavailable", "no node");
  for (const other of call.upstream.others) lookUp(other, forwarding);
  setRequestHeaders(call, upstream.id);
  if (!node.isName) return new Attempt(call, upstream, node, forwarding, nowMs, nowMs);
  const found = forwarding.names.has(node.host);
  const nameless = upstream.settings.of_split === true ? "upstream_unreachable" : "dependency_unavailable";
  const start = (isThere: boolean): Forward | Answer =>
    isThere ? new Attempt(call, upstream, node, forwarding, nowMs, nowMs) : refused(call, nameless, `${node.host} has no address`);
  return found instanceof Promise ? found.then(start) : start(found);
}

/** Asks for the addresses of an upstream that is not asked yet, so that a later try need not wait for them. */
function lookUp(target: UpstreamTarget, { names }: Forwarding): void {
  const nodes = target instanceof OwnTarget ? target.upstream?.nodes : undefined;
  for (const { isName, host } of nodes ?? []) if (isName) void names.has(host);
}

/** Without the certificate that its settings name an upstream would take the gateway for anybody. */
function lacksCertificate({ program }: ProxyCall, { settings: { tls, scheme } }: Upstream): boolean {
  const id = tls?.client_cert_id;
  return id !== undefined && scheme === "https" && program.document.ssls.get(id)?.type !== "client";
}

function pick(call: ProxyCall, upstream: Upstream, nowMs: number): Node | undefined {
  return upstream.pick({ source: call, nowMs, placement: call.context?.tenant.isolationLevel, tried: call.tried, tenant: judgeOf(call) });
}

/**
 * Whose opinion of nodes the call's outcome changes: its tenant's, and in strict nobody's in particular is one by itself. In the apisix profile
 * a call without a tenant speaks for all, as it does there.
 */
function judgeOf({ context, profile }: ProxyCall): string | undefined {
  return context?.tenant.uuid ?? (profile === "strict" ? "" : undefined);
}

function refused(call: ProxyCall, code: FaultCode, reason: string): Answer {
  const fault = new Fault(code, `upstream ${call.triedUpstream?.id ?? ""}: ${reason}`);
  call.fault = fault;
  const answer = call.profile === "strict" ? faultAnswer(fault, call) : pageAnswer(FAULTS[code].status);
  return withHeaderPhase(call, withUpstreamStatus(call, answer));
}

/** In the apisix profile a failure of an upstream says what each try came to. */
function withUpstreamStatus(call: ProxyCall, answer: Answer): Answer {
  if (call.profile !== "apisix" || call.upstreamStatuses.length === 0) return answer;
  return { ...answer, headers: { ...answer.headers, "x-apisix-upstream-status": call.upstreamStatuses.join(", ") } };
}

/** One try at one node. */
class Attempt implements Forward {
  readonly pool: Forward["pool"];
  readonly owner: string;
  readonly origin: Origin;
  readonly keepAlive: Forward["keepAlive"];
  readonly method: string;
  readonly target: string;
  readonly headers: HeaderEdit;
  readonly body: Forward["body"];
  readonly upgrade: boolean;
  readonly timeouts: ForwardTimeouts;
  readonly #call: ProxyCall;
  readonly #upstream: Upstream;
  readonly #node: Node;
  readonly #forwarding: Forwarding;
  /** When the first try began. */
  readonly #firstMs: number;
  readonly #startedMs: number;

  constructor(call: ProxyCall, upstream: Upstream, node: Node, forwarding: Forwarding, firstMs: number, startedMs: number) {
    const draft = call.upstream;
    this.#call = call;
    this.#upstream = upstream;
    this.#node = node;
    this.#forwarding = forwarding;
    this.#firstMs = firstMs;
    this.#startedMs = startedMs;
    setHost(call, upstream, node);
    this.pool = call.outer.pool;
    this.owner = call.context?.tenant.uuid ?? "";
    this.origin = node.originAt(node.isName ? forwarding.names.next(node.host) : undefined, serverNameOf(call, upstream, node));
    this.keepAlive = upstream.keepAlive;
    this.method = draft.method;
    this.target = draft.query === "" ? draft.path : `${draft.path}?${draft.query}`;
    this.headers = draft.headers;
    this.body = draft.body ?? bodyOf(call);
    this.upgrade = call.isUpgrade && call.compiled?.websocket === true;
    this.timeouts = call.compiled?.timeouts ?? upstream.timeouts;
    // whoever went while something waited has been counted off already
    if (call.ended) return;
    call.node = node;
    call.tried.push(node);
    call.upstreamAddress = node.address;
    node.busy++;
    draft.began?.();
  }

  onResponse(head: ResponseHead): ResponsePlan {
    const call = this.#call;
    const nowMs = call.outer.clock.monotonic();
    call.upstreamMs = nowMs - this.#startedMs;
    call.upstreamStatuses.push(head.status);
    this.#upstream.answered(this.#node, call.upstreamMs, nowMs);
    this.#forwarding.succeeded(this.#upstream, this.#node, head.status, judgeOf(call));
    const another = this.#another(head.status, nowMs);
    if (another) return { kind: "retry", forward: another };
    const headers = head.headers.edit();
    const { answerFields } = call.upstream;
    if (answerFields) for (const [name] of headers.fields()) if (!answerFields.has(name.toLowerCase())) headers.remove(name);
    const draft = new AnswerDraft(head.status, headers, true);
    if (call.profile === "apisix" && head.status >= 500) {
      draft.headers.set("X-APISIX-Upstream-Status", call.upstreamStatuses.join(", "));
    }
    call.status = head.status; // conditions of plugins ask for it
    runHeaderPhase(call, draft);
    addHouseFields(call, draft.headers);
    call.status = draft.status;
    return draft.plan(head);
  }

  onFailure(failure: ForwardFailure): Forward | Answer {
    const call = this.#call;
    const code = FAILURE_CODES[failure.kind];
    const nowMs = call.outer.clock.monotonic();
    this.#node.busy--;
    call.node = undefined;
    call.upstreamStatuses.push(FAULTS[code].status);
    this.#forwarding.failed(this.#upstream, this.#node, failure.kind, judgeOf(call));
    const another = this.#another(0, nowMs);
    if (another) return another;
    const next = this.#mayRetry(failure, nowMs) ? pick(call, this.#upstream, nowMs) : undefined;
    if (next && this.#mayPay(nowMs)) return new Attempt(call, this.#upstream, next, this.#forwarding, this.#firstMs, nowMs);
    return refused(call, this.#isLate(nowMs) && failure.retryable ? "upstream_unreachable" : code, failure.reason);
  }

  /** A try at wherever a plugin has sent the request after this one; counted as every other. */
  #another(status: number, nowMs: number): Forward | undefined {
    const call = this.#call;
    if (call.upstream.again?.(status, () => this.#mayPay(nowMs)) !== true) return undefined;
    const upstream = upstreamOf(call);
    const node = upstream && "pick" in upstream ? pick(call, upstream, nowMs) : undefined;
    if (!(upstream && "pick" in upstream) || !node) return undefined;
    // a name that was never asked for is asked for now, for the next request
    if (node.isName && this.#forwarding.names.has(node.host) !== true) return undefined;
    if (status !== 0) this.#node.busy--;
    call.triedUpstream = upstream;
    this.#forwarding.used(upstream);
    setRequestHeaders(call, upstream.id);
    return new Attempt(call, upstream, node, this.#forwarding, this.#firstMs, nowMs);
  }

  #mayRetry(failure: ForwardFailure, nowMs: number): boolean {
    return failure.retryable && this.#call.tried.length <= this.#upstream.retries && !this.#isLate(nowMs);
  }

  #isLate(nowMs: number): boolean {
    const { retryTimeoutMs, retries } = this.#upstream;
    return retryTimeoutMs > 0 && this.#call.tried.length <= retries && nowMs - this.#firstMs >= retryTimeoutMs;
  }

  #mayPay(nowMs: number): boolean {
    const { context } = this.#call;
    return !context || this.#forwarding.budget.take(context.tenant.uuid, nowMs);
  }
}

function bodyOf(call: ProxyCall): Forward["body"] {
  if (call.bodyInMemory) return call.exchange.hasBody ? call.bodyInMemory : undefined;
  return call.exchange.hasBody ? "pass" : undefined;
}

function setHost(call: ProxyCall, { settings }: Upstream, node: Node): void {
  const { headers, host } = call.upstream;
  if (host !== undefined) headers.set("Host", host);
  else if (settings.pass_host === "node") headers.set("Host", node.authority);
  else if (settings.pass_host === "rewrite" && settings.upstream_host !== undefined) headers.set("Host", settings.upstream_host);
  else if (call.head.authority === undefined) headers.set("Host", node.authority);
}

/** The name in the TLS handshake is the Host that is sent, as the dialect has it; in the strict profile it is the node's, which the certificate is for. */
function serverNameOf(call: ProxyCall, { settings }: Upstream, node: Node): string | undefined {
  if (!node.origin.tls || call.profile === "strict") return undefined;
  return call.upstream.host ?? (settings.pass_host === "pass" ? call.head.host : undefined);
}
