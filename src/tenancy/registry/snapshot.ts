import {
  type AgentConfig,
  type DataModel,
  PLACEMENT_OF,
  type SessionSettings,
  type Tenant,
  type TenantId,
  type TenantStatus,
} from "../../kernel/index.ts";
import { deepFreeze } from "./deep-freeze.ts";
import { MCP_SECRET } from "./tenant-secrets.ts";
import type { PlanDocument, TenantDocument } from "./tenant-settings.ts";

/** One tenant as the database gives it. Frozen with all its parts, which the snapshot shares. */
export interface TenantRow {
  readonly uuid: string;
  readonly id: TenantId;
  readonly plan: string;
  readonly status: TenantStatus;
  readonly document: TenantDocument;
  readonly version: number;
  readonly created_at: Date;
  /** Names of the secrets that are set. */
  readonly secrets: readonly string[];
  readonly data_model: DataModel;
  readonly data_epoch: number;
}

/** The agent of a tenant that has set none: answers out of the tenant's own documents. */
const DEFAULT_AGENT: AgentConfig = Object.freeze({
  invokeUrl: null,
  timeout: 30_000,
  protocol: "builtin",
  concurrency: 50,
  model: null,
  mcpServers: Object.freeze([]),
});

const DEFAULT_SESSIONS: SessionSettings = Object.freeze({ retentionDays: null, idleMinutes: null });

const DEFAULT_LOCALE = "en";
const NO_TEXTS = Object.freeze({});

/** The snapshot of a tenant, frozen at every depth: its own settings over its plan's. Parts that the tenant did not set are the plan's own objects. */
export function toTenant(row: TenantRow, plan: PlanDocument): Tenant {
  const own = row.document;
  const has = (secret: string): boolean => row.secrets.includes(secret);
  return Object.freeze({
    id: row.id,
    uuid: row.uuid,
    name: own.name,
    plan: row.plan,
    isolationLevel: own.isolationLevel ?? plan.isolationLevel,
    placement: Object.freeze({
      data: row.data_model,
      wanted: own.placement?.data ?? PLACEMENT_OF[own.isolationLevel ?? plan.isolationLevel].data,
      epoch: row.data_epoch,
    }),
    quotas: over(plan.quotas, own.quotas),
    rate: over(plan.rate, own.rate),
    features: own.features ? Object.freeze([...new Set([...plan.features, ...own.features])]) : plan.features,
    billing: Object.freeze({ email: null, ...plan.billing, ...own.billing }),
    locale: own.locale ?? DEFAULT_LOCALE,
    status: row.status,
    agentConfig: over(DEFAULT_AGENT, own.agentConfig),
    agentSecrets: deepFreeze({
      apiKey: has("agent.apiKey"),
      signingSecret: has("agent.signingSecret"),
      mcp: row.secrets
        .filter((name) => name.startsWith(MCP_SECRET))
        .map((name) => name.slice(MCP_SECRET.length))
        .toSorted(),
    }),
    channels: deepFreeze({ web: { enabled: own.web?.enabled ?? true } }),
    sessions: over(DEFAULT_SESSIONS, own.sessions),
    errorTexts: own.errorTexts ?? NO_TEXTS,
    version: row.version,
    createdAt: row.created_at.toISOString(),
  }) as Tenant; // zod's optional parts are `T | undefined`; `over` leaves none undefined
}

function over<T extends object>(defaults: T, own: object | undefined): T {
  if (!own || Object.keys(own).length === 0) return defaults;
  return Object.freeze({ ...defaults, ...own });
}
