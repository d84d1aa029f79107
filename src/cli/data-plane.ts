import { createCallMetrics, createDataPlane, type DataPlane, type LiveRequests, PLUGINS } from "../gateway/index.ts";
import { createTenantContext, systemClock, systemRandom, toFault } from "../kernel/index.ts";
import type { ModelGateway } from "../models/index.ts";
import type { Audit } from "../tenancy/audit/index.ts";
import type { Identity } from "../tenancy/identity/index.ts";
import {
  createFairQueue,
  createLimits,
  createLoopWatch,
  createMessageLedger,
  createRedisLedger,
  type LimitLedger,
  type Limits,
  type OpenLimits,
} from "../tenancy/limits/index.ts";
import type { Registry } from "../tenancy/registry/index.ts";
import { createOutbound, createUpstreamPool, probe } from "../wire/index.ts";
import { createProxyTelemetry } from "./proxy-telemetry.ts";
import type { Settings } from "./settings.ts";
import type { Siblings } from "./siblings.ts";
import type { Telemetry } from "./telemetry.ts";

/** The rooms that the data plane stands on. */
export interface DataPlaneRooms {
  readonly settings: Settings;
  readonly identity: Identity;
  readonly registry: Registry;
  readonly audit: Audit;
  readonly telemetry: Telemetry;
  readonly limits: Limits;
  readonly live: LiveRequests;
  readonly modelGateway: ModelGateway;
}

/** The data plane of this process with everything it works with. */
export interface OpenDataPlane {
  readonly dataPlane: DataPlane;
  /** After the ports are closed: connections and checks end. */
  close(): Promise<void>;
}

/** Tenants and routes that have a line of their own in the metrics; the others share one, so that their number does not grow with callers. */
const METRIC_BOUNDS = { tenantsMax: 100, routesMax: 1_000 } as const;

/** A data plane that serves nothing yet. */
export function openDataPlane(rooms: DataPlaneRooms): OpenDataPlane {
  const { settings, identity, registry, audit, telemetry, limits } = rooms;
  const watch = createLoopWatch(systemClock);
  const pool = createUpstreamPool();
  const outbound = createOutbound();
  const dataPlane = createDataPlane({
    profile: settings.gateway.profile,
    plugins: PLUGINS,
    clock: systemClock,
    random: systemRandom,
    limits,
    fairQueue: ({ concurrency, queue, deadline_ms: deadlineMs }) =>
      createFairQueue({ concurrency, queueMax: queue, deadlineMs, clock: systemClock, overloaded: () => watch.overloaded() }),
    pool,
    resolverRequired: settings.gateway.tenantRequired,
    trustedAddresses: settings.gateway.trustedAddresses,
    identify: (head, requestId) => identity.identify(head, requestId, new RequestTrace(requestId)),
    findTenant: (id) => registry.find(id),
    contextOf: (tenant, consumer, requestId) =>
      createTenantContext({
        tenant,
        principal: { realm: "tenant", kind: "api_key", id: consumer, roles: ["member"], scopes: [] },
        provedBy: "api_key",
        requestId,
        trace: new RequestTrace(requestId),
      }),
    signContext: (context, audience) => identity.signContext(context, audience),
    claimedTenant: (head) => identity.claimedTenant(head),
    noteFailure: (address) => identity.noteFailure(address),
    live: rooms.live,
    fetch: (request) => outbound.fetch(request),
    probe,
    audit,
    models: rooms.modelGateway,
    metrics: createCallMetrics(telemetry.registry, METRIC_BOUNDS),
    warn: (message, facts) => telemetry.log.warn({ ...facts }, message),
    observe: createProxyTelemetry(telemetry, settings.accessLog.sample),
  });
  return {
    dataPlane,
    async close() {
      await dataPlane.close();
      pool.close();
      watch.close();
      await outbound.close();
    },
  };
}

/** The counters of this process. They are closed after everything that counts. */
export function openLimits(rooms: LedgerRooms): OpenLimits {
  const ledger = openLedger(rooms);
  return createLimits({ clock: systemClock, ...(ledger && { ledger }) });
}

/** What decides where limits are shared. */
interface LedgerRooms {
  readonly settings: Settings;
  readonly siblings: Siblings | undefined;
  readonly telemetry: Telemetry;
}

/** Where limits are shared: in Redis by all machines, else by the processes of this one, else nowhere. */
function openLedger({ settings, siblings, telemetry }: LedgerRooms): LimitLedger | undefined {
  const { redis, machinesMin } = settings.gateway;
  if (redis !== undefined) {
    return createRedisLedger({
      url: redis,
      gatewaysMin: machinesMin * (siblings?.count ?? 1),
      onChange: (reached, error) => {
        if (reached) telemetry.log.info("Redis is reached: limits are shared");
        else telemetry.log.warn({ err: error && toFault(error) }, "Redis is not reached: each gateway keeps to its part of the limits");
      },
    });
  }
  return siblings && createMessageLedger(siblings.ledgerEnd, siblings.count);
}

/** The trace has the request's own id, as the one that is sent on where the caller brings none. Made out only when somebody asks. */
class RequestTrace {
  readonly #requestId: string;
  readonly sampled = false;

  constructor(requestId: string) {
    this.#requestId = requestId;
    Object.freeze(this);
  }

  get traceId(): string {
    return this.#requestId.replaceAll("-", "");
  }

  get spanId(): string {
    return this.traceId.slice(16);
  }
}
