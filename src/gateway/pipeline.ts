import {
  type Clock,
  Fault,
  type PlatformPrincipal,
  type Random,
  type Tenant,
  type TenantContext,
  toFault,
  type Trace,
  uuidV7,
} from "../kernel/index.ts";
import type { Stores } from "../stores/index.ts";
import type { Audit } from "../tenancy/audit/index.ts";
import { type Identified, type Identity, SESSION_COOKIE, unauthenticated } from "../tenancy/identity/index.ts";
import { overRate, type RateDecision, rateHeaders, type RateLimiter } from "../tenancy/limits/index.ts";
import { authorise } from "../tenancy/policy/index.ts";
import {
  acceptWebSocket,
  type Answer,
  type Exchange,
  type HttpHandler,
  parseTarget,
  type RequestHead,
  toProblem,
  type UpgradeExchange,
} from "../wire/index.ts";
import { dressForward } from "./dress-forward.ts";
import { readInput, readQuery, tenantIn } from "./input.ts";
import { type LiveRequest, type LiveRequests, untilSent } from "./live-requests.ts";
import type { AnyCall, Operation, Outcome } from "./operation.ts";
import { type OpenSocket, OpenSockets } from "./open-sockets.ts";
import type { DataPlane } from "./proxy/ports.ts";
import { createRouter, type Match, type Router } from "./router.ts";

/** What the pipeline tells the log and the metrics about each request. It holds no secrets and no bodies. */
export interface RequestRecord {
  readonly requestId: string;
  readonly tenantId: string | undefined;
  readonly principal: string | undefined;
  readonly method: string;
  /** The path of the route table, not of the request: a bounded set. */
  readonly route: string;
  readonly status: number;
  /** Until the head of the answer. */
  readonly durationMs: number;
  readonly fault: Fault | undefined;
}

/** What the pipeline is built from. */
export interface PipelinePorts {
  readonly identity: Identity;
  readonly limiter: RateLimiter;
  readonly stores: Stores;
  readonly audit: Audit;
  readonly clock: Clock;
  readonly random: Random;
  readonly observe: (record: RequestRecord) => void;
  /** The book of what is under way, which the data plane keeps as well. */
  readonly live: LiveRequests;
  /** Browser origins besides the own host that may open a WebSocket, or change something with a session's cookie. */
  readonly origins: readonly string[];
}

/** The one way in: every listening port of the platform serves its operations through it. */
export interface Pipeline {
  /** What is no operation goes to `proxied`, where there is one. */
  handlerFor(operations: readonly Operation[], proxied?: Proxied): HttpHandler;
  /** Lets open sockets finish the message under way and closes them: nothing else would, before the ports close. */
  leave(): void;
}

/** The data plane behind a port. */
export interface Proxied {
  /** Undefined while nothing is configured: everything is the platform's then. */
  dataPlane(): Pick<DataPlane, "matches" | "handle" | "upgrade"> | undefined;
  /** Whether the platform's own paths come before configured routes. */
  readonly platformFirst: boolean;
}

const SOCKET_BOUNDS = { messageBytesMax: 256 * 1024, queuedMax: 32 } as const;
const CLOSE_NORMAL = 1000;
const CLOSE_GOING_AWAY = 1001;
const CLOSE_POLICY = 1008;
const CLOSE_INTERNAL = 1011;
/** No cache between us and the caller may keep what belongs to a tenant (RFC 9111, 3.5). */
const NOT_KEPT = "private, no-store";
const SAFE_METHODS: ReadonlySet<string> = new Set(["GET", "HEAD", "OPTIONS"]);

/** The pipeline behind all ports of a process. */
export function createPipeline(ports: PipelinePorts): Pipeline {
  const sockets = new OpenSockets();
  return {
    handlerFor: (operations, proxied) => new Handler(ports, sockets, createRouter(operations), proxied),
    leave: () => sockets.leave(),
  };
}

/** What is known of one request so far; the log line and the answer's fields are made from it at the end. */
class Passage {
  readonly requestId: string;
  readonly trace: Trace;
  readonly startedMs: number;
  identified: Extract<Identified, { ok: true }> | undefined;
  operation: Operation | undefined;
  rate: RateDecision | undefined;
  fault: Fault | undefined;

  constructor({ clock, random }: Pick<PipelinePorts, "clock" | "random">) {
    this.startedMs = clock.monotonic();
    this.requestId = uuidV7(clock, random);
    this.trace = { traceId: random.bytes(16).toString("hex"), spanId: random.bytes(8).toString("hex"), sampled: false };
  }

  get context(): TenantContext | undefined {
    return this.identified?.realm === "tenant" ? this.identified.context : undefined;
  }

  get operator(): PlatformPrincipal | undefined {
    return this.identified?.realm === "platform" ? this.identified.principal : undefined;
  }

  get tenant(): Tenant | undefined {
    return this.context?.tenant;
  }
}

class Handler implements HttpHandler {
  readonly #ports: PipelinePorts;
  readonly #sockets: OpenSockets;
  readonly #router: Router;
  readonly #proxied: Proxied | undefined;

  constructor(ports: PipelinePorts, sockets: OpenSockets, router: Router, proxied: Proxied | undefined) {
    this.#proxied = proxied;
    this.#ports = ports;
    this.#sockets = sockets;
    this.#router = router;
  }

  handle(exchange: Exchange): Answer | undefined | Promise<Answer | undefined> {
    const dataPlane = this.#dataPlaneFor(exchange.head);
    return dataPlane ? dataPlane.handle(exchange) : this.#operate(exchange);
  }

  /** The data plane when the request is for it. */
  #dataPlaneFor(head: RequestHead): Pick<DataPlane, "matches" | "handle" | "upgrade"> | undefined {
    const dataPlane = this.#proxied?.dataPlane();
    if (!dataPlane || !this.#router.has(head.target.path)) return dataPlane;
    return this.#proxied?.platformFirst === false && dataPlane.matches(head) ? dataPlane : undefined;
  }

  async #operate(exchange: Exchange): Promise<Answer | undefined> {
    const passage = new Passage(this.#ports);
    try {
      if (!SAFE_METHODS.has(exchange.head.method) && hasSession(exchange.head)) assertOwnOrigin(exchange.head, this.#ports.origins);
      const match = await this.#admit(exchange.head, passage);
      const { run } = match.operation;
      if (!run) throw new Fault("malformed_request", "not an upgrade", { public: { detail: "Open a WebSocket here." } });
      const outcome = await this.#run(exchange, passage, match, run);
      if (!("pool" in outcome)) return this.#finish(outcome, exchange.head, passage);
      const { head } = exchange;
      const finish = (answer: Answer): Answer => this.#finish(answer, head, passage);
      const begin = (status: number): Readonly<Record<string, string>> => {
        this.#observe(status, head, passage);
        return this.#houseFields(passage);
      };
      exchange.forward(dressForward(outcome, { finish, begin }));
      return undefined;
    } catch (error) {
      return this.#refusal(toFault(error), exchange.head, passage);
    }
  }

  async upgrade(exchange: UpgradeExchange): Promise<void> {
    const dataPlane = this.#dataPlaneFor(exchange.head);
    if (dataPlane) await dataPlane.upgrade(exchange);
    else await this.#openSocket(exchange);
  }

  async #openSocket(exchange: UpgradeExchange): Promise<void> {
    const passage = new Passage(this.#ports);
    try {
      assertOwnOrigin(exchange.head, this.#ports.origins);
      const match = await this.#admit(exchange.head, passage);
      const { accept } = match.operation;
      const context = passage.context;
      if (!accept || !context) throw new Fault("not_found", "no socket here");
      await this.#socket(exchange, passage, match, accept, context);
    } catch (error) {
      exchange.refuse(this.#refusal(toFault(error), exchange.head, passage));
    }
  }

  refuse(fault: Fault): Answer {
    return this.#refusal(fault, undefined, new Passage(this.#ports));
  }

  /** Everything that is decided before the body is read: who, for whom, how much, where to, and whether they may. */
  async #admit(head: RequestHead, passage: Passage, paid = false): Promise<Match> {
    const identified = await this.#ports.identity.identify(head, passage.requestId, passage.trace);
    if (!identified.ok) throw identified.fault;
    passage.identified = identified;
    if (passage.tenant && !paid) this.#take(passage, passage.tenant);
    const match = this.#router.match(head.method, parseTarget(identified.routePath).segments);
    passage.operation = match.operation;
    this.#assertMay(passage, head, match.operation);
    return match;
  }

  #take(passage: Passage, tenant: Tenant): void {
    const rate = this.#ports.limiter.take(tenant);
    passage.rate = rate;
    if (!rate.allow) throw overRate(tenant, rate);
  }

  #assertMay(passage: Passage, head: RequestHead, operation: Operation): void {
    const principal = passage.context?.principal ?? passage.operator;
    const decision = authorise(principal, operation.access);
    if (decision.allow) return;
    if (!principal) throw unauthenticated("no credential");
    const actorTenant = passage.tenant ? { id: passage.tenant.id, uuid: passage.tenant.uuid } : null;
    this.#ports.audit.record({
      action: "privilege_denied",
      reason: decision.rule,
      actor: principal.id,
      actorTenant,
      targetTenant: null,
      requestId: passage.requestId,
      source: head.remoteAddress,
      detail: { method: operation.method, route: operation.path },
    });
    throw new Fault("forbidden", `${principal.realm} principal refused by ${decision.rule}`);
  }

  async #run(exchange: Exchange, passage: Passage, match: Match, run: NonNullable<Operation["run"]>): Promise<Outcome> {
    const { context } = passage;
    const live = context ? this.#ports.live.begin(context, exchange.signal) : undefined;
    try {
      const query = readQuery(exchange.head, match.operation);
      const signal = live?.signal ?? exchange.signal;
      const body = await readInput(exchange, match.operation, signal);
      // a body can take its time: nothing is begun for a tenant that was suspended meanwhile
      if (live?.stopped) throw live.stopped;
      // whatever call names a tenant, it is the caller's own
      if (context) for (const part of [query, body]) this.#ports.identity.agree(context, tenantIn(part), exchange.head.remoteAddress);
      const call = this.#call(exchange.head, passage, match, signal, query, body);
      const outcome = await run({ ...call, onEnd: (listener) => exchange.onEnd(listener) });
      if (!live) return outcome;
      if (!("pool" in outcome)) return untilSent(outcome, live);
      this.#endWith(exchange, live, passage);
      return outcome;
    } catch (error) {
      live?.end();
      throw error;
    }
  }

  /** What is forwarded ends with the tenant, and the book is told when it is over. */
  #endWith(exchange: Exchange, live: LiveRequest, passage: Passage): void {
    const stop = (): void => {
      const { stopped } = live;
      if (stopped) exchange.stop(() => this.#refusal(stopped, exchange.head, passage));
    };
    if (live.stopped) throw live.stopped;
    live.signal.addEventListener("abort", stop, { once: true });
    exchange.onEnd(() => live.end());
  }

  #call(head: RequestHead, passage: Passage, match: Match, signal: AbortSignal, query: unknown, body: unknown): AnyCall {
    const { context, operator, requestId } = passage;
    return {
      params: match.params,
      query,
      body,
      head,
      requestId,
      signal,
      context,
      scope: context && this.#ports.stores.scope(context),
      principal: operator,
      // a socket is not an exchange: its end is the end of its messages
      onEnd: () => {},
    };
  }

  async #socket(
    exchange: UpgradeExchange,
    passage: Passage,
    match: Match,
    accept: NonNullable<Operation["accept"]>,
    context: TenantContext,
  ): Promise<void> {
    const socket = this.#sockets.open(await acceptWebSocket(exchange, SOCKET_BOUNDS));
    const live = this.#ports.live.begin(context, undefined);
    live.signal.addEventListener("abort", () => socket.close(CLOSE_GOING_AWAY, "The tenant is no longer served."));
    this.#observe(101, exchange.head, passage);
    try {
      const call = this.#call(exchange.head, passage, match, live.signal, undefined, undefined);
      let paid = true; // the upgrade was counted, which is good for the first message
      const admit = async (): Promise<AnyCall> => {
        const again = await this.#admitMessage(exchange.head, passage, live.signal, paid);
        paid = false;
        return again;
      };
      await accept({ ...call, admit }, socket);
      socket.close(CLOSE_NORMAL, "");
    } catch (error) {
      this.#closeSocket(socket, toFault(error), exchange.head, passage);
    } finally {
      live.end();
      this.#sockets.end(socket);
    }
  }

  /** One message of a socket as a request of its own: whatever changed since the upgrade counts. */
  async #admitMessage(head: RequestHead, upgrade: Passage, signal: AbortSignal, paid: boolean): Promise<AnyCall> {
    const passage = new Passage(this.#ports);
    const match = await this.#admit(head, passage, paid);
    // the name can have gone to another tenant, but a socket is one tenant's for life
    if (passage.tenant?.uuid !== upgrade.tenant?.uuid) throw unauthenticated("the socket's tenant is gone");
    return this.#call(head, passage, match, signal, undefined, undefined);
  }

  #closeSocket(socket: OpenSocket, fault: Fault, head: RequestHead, passage: Passage): void {
    passage.fault = fault;
    this.#observe(fault.status, head, passage);
    // who may no longer call has been told why; everything else is our own
    if (fault.status === 401 || fault.status === 403) socket.close(CLOSE_POLICY, "This credential is no longer good for this socket.");
    else socket.close(CLOSE_INTERNAL, "Something went wrong on our side.");
  }

  #refusal(fault: Fault, head: RequestHead | undefined, passage: Passage): Answer {
    passage.fault = fault;
    const language = head?.headers.all("accept-language").join(",");
    const own = (passage.operation ?? (head && this.#meantFor(head)))?.refusal?.(fault, passage.requestId);
    return this.#finish(own ?? toProblem(fault, passage.requestId, passage.tenant, language), head, passage);
  }

  /** A client reads refusals in the shape of the API that it speaks, also before anything is known about it. */
  #meantFor({ method, target }: RequestHead): Operation | undefined {
    return this.#router.peek(method, target.path);
  }

  #finish(answer: Answer, head: RequestHead | undefined, passage: Passage): Answer {
    this.#observe(answer.status, head, passage);
    const known = passage.identified !== undefined && passage.identified.realm !== "public";
    return {
      ...answer,
      headers: {
        ...this.#houseFields(passage),
        ...answer.headers,
        // also of an answer that is the same for all: beside it stand this caller's own fields
        ...(known && { "cache-control": NOT_KEPT }),
      },
    };
  }

  /** The fields that every answer of the platform has. */
  #houseFields({ requestId, rate }: Passage): Readonly<Record<string, string>> {
    return {
      vary: "Authorization, X-Tenant-ID",
      "x-content-type-options": "nosniff",
      "x-request-id": requestId,
      "cache-control": NOT_KEPT,
      ...(rate && rateHeaders(rate)),
    };
  }

  #observe(status: number, head: RequestHead | undefined, passage: Passage): void {
    this.#ports.observe({
      requestId: passage.requestId,
      tenantId: passage.tenant?.id,
      principal: passage.context?.principal.id ?? passage.operator?.id,
      method: head?.method ?? "",
      route: passage.operation?.path ?? "",
      status,
      durationMs: this.#ports.clock.monotonic() - passage.startedMs,
      fault: passage.fault,
    });
  }
}

/** Whether a browser may have sent this by itself, for whatever site it shows. */
function hasSession(head: RequestHead): boolean {
  return head.headers.all("cookie").some((field) => field.includes(`${SESSION_COOKIE}=`));
}

/**
 * A browser sends Origin with every WebSocket and every request that changes something, and sends cookies along for any site: another site
 * must not use its user's session (RFC 6455, 10.2).
 */
function assertOwnOrigin(head: RequestHead, origins: readonly string[]): void {
  const origin = head.headers.one("origin");
  if (origin === undefined || origins.includes(origin)) return;
  const own = URL.parse(origin)?.host === head.headers.one("host");
  if (!own) throw new Fault("forbidden", `origin ${origin}`, { public: { detail: "Another site may not do this." } });
}
