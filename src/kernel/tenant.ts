import type { TenantId } from "./tenant-id.ts";

/** Where a tenant is in its life. Only `active` is served. */
export const TENANT_STATUSES = ["provisioning", "active", "suspended", "moving", "deleting", "erased"] as const;
export type TenantStatus = (typeof TENANT_STATUSES)[number];

/** A preset for the placement of all layers of a tenant. */
export const ISOLATION_LEVELS = ["shared", "dedicated", "isolated"] as const;
export type IsolationLevel = (typeof ISOLATION_LEVELS)[number];

/** Where the rows of a tenant are: in shared tables, in a schema of its own, or in a database of its own. */
export const DATA_MODELS = ["row", "schema", "database"] as const;
export type DataModel = (typeof DATA_MODELS)[number];

/** Where each layer of a tenant is: set per layer, which is the hybrid model. */
export interface Placement {
  readonly data: DataModel;
  /** Where the tenant's settings or its isolation level want it. It gets there when it is made, and later by being moved. */
  readonly wanted: DataModel;
  /** Counts up with every move of any tenant: of two placements of one tenant the one with the higher epoch holds. */
  readonly epoch: number;
}

/** What each isolation level stands for where a tenant's own settings say nothing else. */
export const PLACEMENT_OF: Readonly<Record<IsolationLevel, Pick<Placement, "data">>> = {
  shared: { data: "row" },
  dedicated: { data: "schema" },
  isolated: { data: "database" },
};

/** The most a tenant may have or use. */
export interface ResourceQuotas {
  readonly maxUsers: number;
  readonly maxProjects: number;
  /** People who may write within 30 days; any number where it is not set. */
  readonly maxActiveUsers?: number | undefined;
  /** People who may write at the same time, which is within five minutes; any number where it is not set. */
  readonly maxConcurrentUsers?: number | undefined;
  /** Calls to agents and models per calendar month (UTC). */
  readonly maxAIRequests: number;
  /** Bytes. */
  readonly storageLimit: number;
  /** CPU milliseconds per calendar month (UTC). */
  readonly computeLimit: number;
  /** Bytes per second. */
  readonly networkBandwidth: number;
}

/** How fast a tenant may call, whatever the quota. */
export interface RequestRate {
  readonly requestsPerSecond: number;
  /** Requests that may come at once after a pause. */
  readonly burst: number;
}

/** What the tenant pays, and who gets the bill. */
export interface BillingConfig {
  /** ISO 4217. */
  readonly currency: string;
  /** Whole minor units (cents) per month. */
  readonly monthlyPriceMinor: number;
  readonly email: string | null;
}

/** How an agent is spoken to. */
export const AGENT_PROTOCOLS = ["builtin", "webhook", "openai", "a2a"] as const;
export type AgentProtocol = (typeof AGENT_PROTOCOLS)[number];

/** The tenant's agent. */
export interface AgentConfig {
  /** Where it answers; null only for `builtin`. */
  readonly invokeUrl: string | null;
  /** Time limit of one answer in milliseconds. */
  readonly timeout: number;
  readonly protocol: AgentProtocol;
  /** Answers under way at once; more are refused. */
  readonly concurrency: number;
  /** The model to name for `openai`; for `builtin` one of the tenant's models, which then answers with tools. */
  readonly model: string | null;
  /** Servers whose tools the built-in agent's model may use. */
  readonly mcpServers: readonly McpServer[];
}

/** A server of the tenant's that speaks the Model Context Protocol over HTTP. */
export interface McpServer {
  /** By which the tenant knows it; unique among its servers. */
  readonly name: string;
  readonly url: string;
  /** The tools that may be used, by the names that the server gives them. */
  readonly tools: readonly string[];
  /** The header field in which the server's secret goes along, where it has one. */
  readonly secretHeader: string;
}

/** Which secrets the tenant's agent has: a key of its own, one that signs, and those of MCP servers, by name. They are held apart, sealed. */
export interface AgentSecretFlags {
  readonly apiKey: boolean;
  readonly signingSecret: boolean;
  readonly mcp: readonly string[];
}

/** How long conversations go on and are kept. */
export interface SessionSettings {
  /** Days after which messages, and sessions without newer ones, are deleted; null keeps them. */
  readonly retentionDays: number | null;
  /** Minutes without a message after which a session has ended; null never ends one. */
  readonly idleMinutes: number | null;
}

/** How a message arrives. */
export const PLATFORMS = ["web", "slack", "discord"] as const;
export type Platform = (typeof PLATFORMS)[number];

/** The settings of a tenant's channels. Its apps on chat platforms are installations, held apart. */
export interface ChannelConfig {
  readonly web: { readonly enabled: boolean };
}

/** One version of one tenant, as every part of Freehold sees it. Frozen. */
export interface Tenant {
  readonly id: TenantId;
  /** The internal id. It is never reused, not even when the name is. */
  readonly uuid: string;
  readonly name: string;
  readonly plan: string;
  readonly isolationLevel: IsolationLevel;
  /** Where the tenant is at the moment. It changes by moving the tenant, not by a setting. */
  readonly placement: Placement;
  readonly quotas: ResourceQuotas;
  readonly rate: RequestRate;
  readonly features: readonly string[];
  readonly billing: BillingConfig;
  /** BCP 47, for example `en` or `de-CH`. */
  readonly locale: string;
  readonly status: TenantStatus;
  readonly agentConfig: AgentConfig;
  readonly agentSecrets: AgentSecretFlags;
  readonly channels: ChannelConfig;
  readonly sessions: SessionSettings;
  /** Own titles of errors: code -> language -> text. */
  readonly errorTexts: Readonly<Record<string, Readonly<Record<string, string>>>>;
  /** Counts up by one with each change. */
  readonly version: number;
  /** ISO 8601, UTC. */
  readonly createdAt: string;
}
