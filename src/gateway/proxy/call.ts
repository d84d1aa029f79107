import { Fault, type TenantContext, uuidV7 } from "../../kernel/index.ts";
import type { FairTicket } from "../../tenancy/limits/index.ts";
import type { Exchange, ExchangeEnd, HeaderEdit } from "../../wire/index.ts";
import type { Stoppable } from "../live-requests.ts";
import { RequestView, type ViewPorts } from "../routing/request-view.ts";
import type { Node } from "../upstreams/node.ts";
import type { Upstream } from "../upstreams/upstream.ts";
import { lateVariable } from "./call-variables.ts";
import type { CompiledRoute } from "./compiled-route.ts";
import type { Call, CallObjects, ConsumerCredential, UpstreamDraft, UpstreamTarget } from "./plugin.ts";
import { objectsOf } from "./call-objects.ts";
import { EMPTY_CHAIN, type PluginChain, type Step } from "./plugin-chain.ts";
import type { EndListener, DataPlanePorts } from "./ports.ts";
import type { Overlay, Program } from "./program.ts";
import { traceParent } from "./trace.ts";

const EMPTY_BODY = new Uint8Array();

/** What a call needs besides its request. */
export interface CallPorts extends ViewPorts {
  readonly outer: DataPlanePorts;
  /** Ends a call whose tenant may no longer be served. */
  readonly stop: (call: ProxyCall, fault: Fault) => void;
}

/** The request as it will go to the upstream. Its header fields are copied when they are first asked for. */
class Draft implements UpstreamDraft {
  method: string;
  path: string;
  query: string;
  host: string | undefined;
  body: Uint8Array | undefined;
  target: UpstreamTarget | undefined;
  scheme: string | undefined;
  outside = false;
  answerFields: UpstreamDraft["answerFields"];
  again: UpstreamDraft["again"];
  others: UpstreamDraft["others"] = [];
  began: UpstreamDraft["began"];
  readonly #call: ProxyCall;
  #headers: HeaderEdit | undefined;

  constructor(call: ProxyCall, path: string) {
    this.#call = call;
    this.method = call.head.method;
    this.path = path;
    this.query = call.head.target.query;
  }

  get headers(): HeaderEdit {
    return (this.#headers ??= this.#call.head.headers.edit());
  }
}

/** One request on its way: what plugins see of it, and where it stands. */
export class ProxyCall extends RequestView implements Call, Stoppable {
  readonly exchange: Exchange;
  readonly program: Program;
  readonly outer: DataPlanePorts;
  readonly #stop: CallPorts["stop"];
  readonly startedMs: number;
  /** A WebSocket, or whatever else the caller wants the connection to become. */
  readonly isUpgrade: boolean;
  compiled: CompiledRoute | undefined;
  chain: PluginChain = EMPTY_CHAIN;
  overlay: Overlay | undefined;
  attached: ConsumerCredential | undefined;
  // how far the phases are
  stage = 0;
  step = 0;
  // tries at upstreams
  triedUpstream: Upstream | undefined;
  readonly tried: Node[] = [];
  node: Node | undefined;
  ticket: FairTicket | undefined;
  readonly upstreamStatuses: number[] = [];
  upstreamAddress: string | undefined;
  upstreamMs: number | undefined;
  fault: Fault | undefined;
  status = 0;
  ended: ExchangeEnd | undefined;
  #draft: Draft | undefined;
  #requestId: string | undefined;
  #traceParent: string | undefined;
  #notes: Map<object, unknown> | undefined;
  #filters: Map<Step, boolean> | undefined;
  #listeners: EndListener[] | undefined;
  #reading: Promise<Uint8Array> | undefined;

  constructor(exchange: Exchange, program: Program, ports: CallPorts, isUpgrade: boolean) {
    super(exchange.head, ports);
    this.exchange = exchange;
    this.program = program;
    this.outer = ports.outer;
    this.#stop = ports.stop;
    this.startedMs = ports.outer.clock.monotonic();
    this.isUpgrade = isUpgrade;
  }

  override get context(): TenantContext | undefined {
    return super.context;
  }

  /** From the proof on the call ends when its tenant does. */
  override set context(context: TenantContext | undefined) {
    this.#leaveBook();
    super.context = context;
    if (context && !this.ended) this.outer.live.enter(context.tenant, this);
  }

  /** Ends it because its tenant may no longer be served. */
  stop(fault: Fault): void {
    this.#stop(this, fault);
  }

  #leaveBook(): void {
    if (super.context) this.outer.live.leave(super.context.tenant, this);
  }

  get requestId(): string {
    return (this.#requestId ??= uuidV7(this.outer.clock, this.outer.random));
  }

  /** The field of W3C Trace Context for the upstream: the caller's trace goes on, with this call as the parent. */
  get traceParent(): string {
    return (this.#traceParent ??= traceParent(this.head.headers.all("traceparent"), this.requestId));
  }

  get upstream(): UpstreamDraft {
    return (this.#draft ??= new Draft(this, this.forwardPath));
  }

  /** The path as sent when nobody rewrites it: byte for byte as it came, without the part that names the tenant. */
  forwardPath = this.head.target.path;

  override variable(name: string): string | number | undefined {
    return super.variable(name) ?? lateVariable(name, this);
  }

  objects(): CallObjects {
    return objectsOf(this, this.program.document);
  }

  attachConsumer(found: ConsumerCredential): void {
    this.attached = found;
    this.consumer = found.consumer;
    this.consumerGroupId = found.consumer.groupId;
    this.credentialId = found.credentialId;
    const { headers } = this.upstream;
    headers.set("X-Consumer-Username", found.consumer.username);
    setOrRemove(headers, "X-Credential-Identifier", found.credentialId);
    setOrRemove(headers, "X-Consumer-Custom-ID", found.consumer.labels["custom_id"]);
  }

  async body(bytesMax: number): Promise<Uint8Array> {
    if (!this.bodyInMemory) {
      this.#reading ??= this.exchange.hasBody ? this.exchange.readBody(bytesMax) : Promise.resolve(EMPTY_BODY);
      this.bodyInMemory = await this.#reading;
    }
    if (this.bodyInMemory.length > bytesMax) throw new Fault("body_too_large", `a body over ${bytesMax} bytes`);
    return this.bodyInMemory;
  }

  // oxlint-disable-next-line typescript/no-unnecessary-type-parameters -- whoever has the key knows what it stands for
  note<T>(key: object): T | undefined {
    return this.#notes?.get(key) as T | undefined; // whoever has the key has put it there
  }

  setNote(key: object, value: unknown): void {
    (this.#notes ??= new Map()).set(key, value);
  }

  onEnd(listener: EndListener): void {
    if (this.ended) listener(this.ended);
    else (this.#listeners ??= []).push(listener);
  }

  /** Tells everybody who waits for it that the exchange is over. */
  end(end: ExchangeEnd): void {
    this.ended = end;
    this.#leaveBook();
    for (const listener of this.#listeners ?? []) {
      try {
        listener(end);
      } catch (error) {
        this.outer.warn("a listener at the end of a call failed", { error: String(error) });
      }
    }
  }

  /** Whether the plugin takes part in this call. Its filter is looked at once, when it first matters. */
  takesPart(step: Step): boolean {
    if (!step.filter) return true;
    const known = this.#filters?.get(step);
    if (known !== undefined) return known;
    const holds = step.filter.holds(this);
    (this.#filters ??= new Map()).set(step, holds);
    return holds;
  }
}

function setOrRemove(headers: HeaderEdit, name: string, value: string | undefined): void {
  if (value === undefined) headers.remove(name);
  else headers.set(name, value);
}
