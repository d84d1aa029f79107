import { AsyncLocalStorage } from "node:async_hooks";
import { createContextOpener, recordQuarantine } from "../cli/index.ts";
import {
  createTenantContext,
  Fault,
  parseTenantId,
  systemClock,
  systemRandom,
  type TenantContext,
  type TenantPrincipal,
  uuidV7,
} from "../kernel/index.ts";
import type { TenantScope } from "../stores/index.ts";
import { createEnvelopes, endSubscriptions, type NewEvent, type OpenedEvent } from "../stores/events/index.ts";
import { asServed } from "../tenancy/identity/index.ts";
import { createOutbound, type Fetch, type ProblemAnswer } from "../wire/index.ts";
import { type Authentication, createAuthentication, type ServiceRequest } from "./authenticate.ts";
import { consumerName, type ServiceConsumer, type ServiceWorker, startWorker } from "./consumer.ts";
import { type House, openHouse } from "./open-house.ts";
import { type FreeholdOptions, parseOptions, type ServiceSettings } from "./options.ts";
import { isOurs, type ProblemCall, toAnswer, toServiceFault } from "./problems.ts";
import { createContextCarrier, type ContextCarrier } from "./context-carrier.ts";

/** Who a request is for, and everything of that tenant that can be reached: nothing of anybody else can. */
export interface RequestTenant {
  readonly context: TenantContext;
  readonly scope: TenantScope;
}

/** An event out of a queue, and the scope of its tenant. */
export interface OpenedEnvelope extends RequestTenant {
  readonly event: OpenedEvent;
}

/** What a log line says of the request or event that it belongs to; empty outside of one. */
export interface LogFields {
  readonly tenantId?: string;
  readonly requestId?: string;
  readonly traceId?: string;
}

/** Freehold inside a service. Contexts come from here alone: one that was made by hand opens nothing. */
export interface Freehold {
  /** Proves the tenant of a request: by the gateway's signed context, or by a token of a configured issuer. Throws a Fault for anything else. */
  authenticate(request: ServiceRequest): Promise<RequestTenant>;
  /** The scope of a context that was proved here. */
  scope(context: TenantContext): TenantScope;
  /**
   * The scope of a tenant for work that no request asked for. The tenant has to be active, and the reason stands in its audit trail and the
   * platform's before the scope is given. Throws `invalid_tenant_id`, `not_found`, `tenant_suspended` or `tenant_not_ready`.
   */
  forTenant(id: string, reason: string): Promise<TenantScope>;
  /** The same for the time of one piece of work, whose log lines say whose it is. */
  withTenant<T>(id: string, reason: string, work: (scope: TenantScope) => Promise<T>): Promise<T>;
  /** Handles events, each with the scope of its tenant. Closed with the rest. */
  startWorker(consumers: readonly ServiceConsumer[]): Promise<ServiceWorker>;
  /** Ends the subscriptions of a consumer that is no more, and drops what waits for it. */
  removeConsumer(name: string): Promise<void>;
  /** The event as text for any queue, sealed together with its tenant: it cannot be changed unseen. Throws as `publish` does. */
  seal(context: TenantContext, event: NewEvent): string;
  /**
   * The event of a sealed text, and the scope of its tenant as it is now. Throws `malformed_request` for a text that is not exactly what was
   * sealed, and then says so in the audit trail; `tenant_suspended` for one to be tried again later; `not_found` for one to be dropped.
   */
  open(sealed: string): Promise<OpenedEnvelope>;
  /**
   * `fetch` on behalf of a tenant. Internal origins are told who for: `X-Tenant-Context`, `X-Tenant-ID`, `X-Request-ID`, `traceparent` and
   * `baggage`; nobody else is, also when such fields are put in by hand.
   */
  tenantFetch(context: TenantContext): Fetch;
  /** Runs work whose log lines say whose it is. Data is never reached by it: that takes a scope. */
  run<T>(context: TenantContext, work: () => T): T;
  /** What a log line should say at this moment. */
  logFields(): LogFields;
  /** The answer to whatever was thrown. What is our own fault is reported; the caller gets its title only. */
  problem(error: unknown, call: ProblemCall): ProblemAnswer;
  /** Ends in order: workers, then everything written. */
  close(): Promise<void>;
}

/** Opens the service's Freehold. Throws `invalid_settings`, and what opening the database throws; then nothing is left open. */
export async function createFreehold(options: FreeholdOptions): Promise<Freehold> {
  const settings = parseOptions(options);
  const report = settings.report ?? ((fault: Fault): void => process.emitWarning(fault));
  const house = await openHouse(settings, report);
  try {
    const freehold = new ServiceFreehold(settings, house, report);
    await freehold.warm();
    return freehold;
  } catch (error) {
    await house.close();
    throw error;
  }
}

class ServiceFreehold implements Freehold {
  readonly #settings: ServiceSettings;
  readonly #house: House;
  readonly #report: (fault: Fault) => void;
  readonly #outbound = createOutbound();
  readonly #authentication: Authentication;
  readonly #carrier: ContextCarrier;
  readonly #lines = new AsyncLocalStorage<LogFields>();
  readonly #proved = new WeakSet<TenantContext>();
  readonly #workers: ServiceWorker[] = [];

  constructor(settings: ServiceSettings, house: House, report: (fault: Fault) => void) {
    this.#settings = settings;
    this.#house = house;
    this.#report = report;
    this.#authentication = createAuthentication(settings, house, this.#outbound, report);
    this.#carrier = createContextCarrier(settings, house);
  }

  async warm(): Promise<void> {
    await this.#authentication.warm();
  }

  async authenticate(request: ServiceRequest): Promise<RequestTenant> {
    const { context, signed } = await this.#authentication.authenticate(request);
    if (signed !== undefined) this.#carrier.remember(context, signed);
    return this.#admit(context);
  }

  scope(context: TenantContext): TenantScope {
    this.#assertProved(context);
    return this.#house.stores.scope(context);
  }

  async forTenant(id: string, reason: string): Promise<TenantScope> {
    const tenantId = parseTenantId(id);
    if (tenantId === undefined) throw new Fault("invalid_tenant_id", "no tenant id");
    if (reason.trim() === "") throw new Fault("invalid_settings", "no reason", { public: { detail: "Say why the tenant is opened." } });
    const { registry, audit } = this.#house;
    const served = asServed(await registry.find(tenantId), tenantId);
    if (!served.ok) throw served.reason === undefined ? served.fault : new Fault("not_found", served.reason);
    const { tenant } = served;
    const { audience } = this.#settings;
    const requestId = uuidV7(systemClock, systemRandom);
    const principal: TenantPrincipal = { realm: "tenant", kind: "user", id: `service:${audience}`, roles: ["admin"], scopes: [] };
    const traceId = systemRandom.bytes(16).toString("hex");
    const trace = { traceId, spanId: systemRandom.bytes(8).toString("hex"), sampled: false };
    audit.record({
      action: "tenant_opened",
      reason,
      actor: principal.id,
      actorTenant: { id: tenant.id, uuid: tenant.uuid },
      targetTenant: tenant.id,
      requestId,
      source: audience,
    });
    await audit.flush();
    return this.#admit(createTenantContext({ tenant, principal, provedBy: "system", requestId, trace })).scope;
  }

  async withTenant<T>(id: string, reason: string, work: (scope: TenantScope) => Promise<T>): Promise<T> {
    const scope = await this.forTenant(id, reason);
    return await this.run(scope.context, () => work(scope));
  }

  async startWorker(consumers: readonly ServiceConsumer[]): Promise<ServiceWorker> {
    const worker = await startWorker(this.#settings.audience, this.#house, consumers, {
      report: this.#report,
      admit: (context) => this.#admit(context).scope,
      run: (context, work) => this.run(context, work),
    });
    this.#workers.push(worker);
    return worker;
  }

  async removeConsumer(name: string): Promise<void> {
    await endSubscriptions(this.#house.data, consumerName(this.#settings.audience, name));
  }

  seal(context: TenantContext, { topic, type, key, data }: NewEvent): string {
    this.#assertProved(context);
    const { tenant, trace } = context;
    const [id, time] = [uuidV7(systemClock, systemRandom), new Date(systemClock.now()).toISOString()];
    const facts = { id, topic, type, key, time, tenantId: tenant.id, tenantUuid: tenant.uuid, trace, data };
    return createEnvelopes(this.#house.keyring).seal(facts);
  }

  async open(sealed: string): Promise<OpenedEnvelope> {
    const opening = createEnvelopes(this.#house.keyring).open(sealed);
    if (!opening.ok) throw this.#quarantine(opening.reason, "", "");
    const { event } = opening;
    const opened = await createContextOpener(this.#house.registry)(event.tenantUuid, event.tenantId, event);
    if (opened.ok) return { event, ...this.#admit(opened.context) };
    switch (opened.reason) {
      case "unknown":
        throw this.#quarantine("unknown_tenant", event.tenantUuid, event.id);
      case "suspended":
        throw new Fault("tenant_suspended", `the tenant of event ${event.id} is not served at the moment`);
      case "deleted":
        throw new Fault("not_found", `the tenant of event ${event.id} is gone`);
    }
  }

  tenantFetch(context: TenantContext): Fetch {
    this.#assertProved(context);
    return this.#carrier.fetchFor(context);
  }

  run<T>(context: TenantContext, work: () => T): T {
    const { tenant, requestId, trace } = context;
    return this.#lines.run({ tenantId: tenant.id, requestId, traceId: trace.traceId }, work);
  }

  logFields(): LogFields {
    return this.#lines.getStore() ?? {};
  }

  problem(error: unknown, call: ProblemCall): ProblemAnswer {
    const fault = toServiceFault(error);
    if (isOurs(fault)) this.#report(fault);
    return toAnswer(fault, call);
  }

  async close(): Promise<void> {
    for (const worker of this.#workers.splice(0)) await worker.close();
    await this.#house.close();
    await this.#outbound.close();
  }

  #admit(context: TenantContext): RequestTenant {
    this.#proved.add(context);
    return Object.freeze({ context, scope: this.#house.stores.scope(context) });
  }

  /** Whoever could make a context could be any tenant. */
  #assertProved(context: TenantContext): void {
    if (!this.#proved.has(context)) throw new Fault("isolation_violation", "a context that was not proved here");
  }

  #quarantine(reason: Parameters<typeof recordQuarantine>[1]["reason"], tenantUuid: string, eventId: string): Fault {
    recordQuarantine(this.#house.audit, { reason, tenantUuid, consumer: consumerName(this.#settings.audience, "open"), eventId });
    return new Fault("malformed_request", `a sealed event was not opened: ${reason}`, {
      public: { detail: "This is not an event that was sealed here. Put it aside." },
    });
  }
}
