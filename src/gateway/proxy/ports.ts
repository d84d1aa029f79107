import type { Clock, Fault, Random, Tenant, TenantContext, TenantId } from "../../kernel/index.ts";
import type { ModelGateway } from "../../models/index.ts";
import type { Audit } from "../../tenancy/audit/index.ts";
import type { FailureNote, Identified } from "../../tenancy/identity/index.ts";
import type { FairQueue, Limits } from "../../tenancy/limits/index.ts";
import type {
  Answer,
  Exchange,
  ExchangeEnd,
  ProbeRequest,
  RequestHead,
  UpgradeExchange,
  UpstreamPool,
  OutboundRequest,
  OutboundResponse,
} from "../../wire/index.ts";
import type { FairSettings, GatewayDocument } from "../dialect/objects.ts";
import type { CallMetrics } from "../plugins/prometheus/call-metrics.ts";
import type { LiveRequests } from "../live-requests.ts";
import type { NodeHealth } from "../upstreams/node.ts";
import type { Call, Plugin, Profile } from "./plugin.ts";

/** What the data plane works with. It reads no settings, opens no port and stores nothing itself. */
export interface DataPlanePorts {
  readonly profile: Profile;
  readonly plugins: readonly Plugin[];
  readonly clock: Clock;
  readonly random: Random;
  readonly limits: Limits;
  fairQueue(settings: FairSettings): FairQueue;
  readonly pool: UpstreamPool;
  /** Every route needs a proved tenant: a route without tenant-resolver gets one that requires it. */
  readonly resolverRequired: boolean;
  /** Addresses and ranges of the proxies in front, which may say who calls through them. */
  readonly trustedAddresses: readonly string[];
  identify(head: RequestHead, requestId: string): Identified | Promise<Identified>;
  findTenant(id: TenantId): Tenant | undefined | Promise<Tenant | undefined>;
  contextOf(tenant: Tenant, consumer: string, requestId: string): TenantContext;
  signContext(context: TenantContext, audience: string): string;
  /** The tenant that a platform key or a custom host stands for, from memory and without proof; undefined where that is not known at once. */
  claimedTenant(head: RequestHead): TenantId | undefined;
  /** Counts a credential that a plugin has refused, by the address of its connection. */
  noteFailure(remoteAddress: string): FailureNote;
  /** Where a call stands from the proof of its tenant to its end, so that it ends when its tenant does. */
  readonly live: Pick<LiveRequests, "enter" | "leave">;
  fetch(request: OutboundRequest): Promise<OutboundResponse>;
  /** One health check: the status of the answer, 0 for TCP alone. Throws `upstream_timeout` or `upstream_unreachable`. */
  probe(request: ProbeRequest): Promise<number>;
  readonly audit: Pick<Audit, "record">;
  warn(message: string, facts?: Readonly<Record<string, unknown>>): void;
  /** Takes the record of a call that is over, and returns at once. */
  observe(record: AccessRecord): void;
  /** Takes requests to models under the rules of their tenants; without it no tenant has any there. */
  readonly models?: Pick<ModelGateway, "attend"> | undefined;
  /** Takes what the plugin prometheus counts; without it that plugin does nothing. */
  readonly metrics?: CallMetrics | undefined;
}

/** One call that is over, for the access log and the metrics. It holds no secrets and no bodies. */
export interface AccessRecord {
  readonly call: Call;
  readonly tenantId: string | undefined;
  /** The id of the route; undefined when none was matched. */
  readonly routeId: string | undefined;
  readonly consumer: string | undefined;
  /** Of the answer; 0 when none was begun. */
  readonly status: number;
  readonly upstreamStatuses: readonly number[];
  readonly upstreamAddress: string | undefined;
  readonly durationMs: number;
  readonly bytesIn: number;
  readonly bytesOut: number;
  readonly aborted: boolean;
  readonly fault: Fault | undefined;
}

/** A gateway document at work. */
export interface DataPlane {
  /**
   * Serves this document from now on; requests under way keep the one they began with. Counters, the positions of balancers and health stay
   * where the settings did; `fresh` drops them. Throws `invalid_settings`, and then everything stays as it was.
   */
  apply(document: GatewayDocument, options?: { readonly fresh?: boolean }): Promise<void>;
  /** Whether a route of the document takes this request. */
  matches(head: RequestHead): boolean;
  handle(exchange: Exchange): Answer | undefined | Promise<Answer | undefined>;
  upgrade(exchange: UpgradeExchange): void | Promise<void>;
  /** What would happen to such a request of this tenant, and where each setting comes from. */
  explain(tenantId: TenantId | undefined, request: ExplainRequest): Promise<Explanation>;
  /** The nodes of every upstream that has checks. */
  health(): readonly UpstreamHealth[];
  /** Ends checks and plugins. Nothing may be handled any more. */
  close(): Promise<void>;
}

/** A request to be explained. */
export interface ExplainRequest {
  readonly method: string;
  readonly host: string | undefined;
  /** With the query. */
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** Why a request goes where it goes. */
export interface Explanation {
  readonly route: { readonly id: string; readonly name: string | undefined; readonly because: readonly string[] } | undefined;
  readonly upstream: string | undefined;
  /** In the order in which they run. */
  readonly plugins: readonly ExplainedPlugin[];
}

/** One plugin of the effective chain. */
export interface ExplainedPlugin {
  readonly name: string;
  readonly priority: number;
  /** Whose settings are used: `global_rule:1`, `service:2`, `plugin_config:3`, `route:4`, `plan:starter`, `tenant:acme`, `consumer:jack`; `default:4` where nothing about route 4 says it. */
  readonly from: string;
  /** Whose settings were replaced, the nearest first. */
  readonly overrides: readonly string[];
  readonly settings: unknown;
}

/** What the checks of an upstream have found. */
export interface UpstreamHealth {
  readonly upstream: string;
  readonly nodes: readonly { readonly address: string; readonly health: NodeHealth }[];
}

/** How a call's end looks to what belongs to it. */
export type EndListener = (end: ExchangeEnd) => void;
