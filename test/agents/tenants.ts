import { randomUUID } from "node:crypto";
import {
  type AgentConfig,
  createTenantContext,
  parseTenantId,
  type Tenant,
  type TenantContext,
  type TenantId,
  uuidV5,
} from "../../src/kernel/index.ts";
import type { NormalizedMessage } from "../../src/agents/index.ts";

const NAMESPACE = "6a7f5f0a-1f0e-4f43-9a56-0c4a6f2d9b11";

/** Bytes that belong to tenant b alone. */
export const CANARY = `CANARY-b-${randomUUID()}`;

function tenantId(name: string): TenantId {
  const id = parseTenantId(name);
  if (!id) throw new Error(`${name} is no tenant id`);
  return id;
}

const AGENT: AgentConfig = { invokeUrl: null, timeout: 10_000, protocol: "webhook", concurrency: 5, model: null, mcpServers: [] };

function tenantOf(name: string, agent: Partial<AgentConfig>): Tenant {
  return {
    id: tenantId(name),
    uuid: uuidV5(NAMESPACE, [name]),
    name,
    plan: "starter",
    isolationLevel: "shared",
    placement: { data: "row", wanted: "row", epoch: 0 },
    quotas: {
      maxUsers: 1,
      maxProjects: 1,
      maxAIRequests: 1,
      storageLimit: 1,
      computeLimit: 1,
      networkBandwidth: 1,
    },
    rate: { requestsPerSecond: 1, burst: 1 },
    features: [],
    billing: { currency: "EUR", monthlyPriceMinor: 0, email: null },
    locale: "en",
    status: "active",
    agentConfig: { ...AGENT, ...agent },
    channels: { web: { enabled: true } },
    agentSecrets: { apiKey: false, signingSecret: false, mcp: [] },
    sessions: { retentionDays: null, idleMinutes: null },
    errorTexts: {},
    version: 1,
    createdAt: "2026-01-01T00:00:00.000Z",
  };
}

/** The context of a user of the tenant. */
export function contextOf(name: string, agent: Partial<AgentConfig> = {}): TenantContext {
  return createTenantContext({
    tenant: tenantOf(name, agent),
    principal: { realm: "tenant", kind: "user", id: "user-1", roles: ["member"], scopes: ["chat"] },
    provedBy: "jwt",
    requestId: "request-1",
    trace: { traceId: "0af7651916cd43dd8448eb211c80319c", spanId: "b7ad6b7169203331", sampled: true },
  });
}

/** A message to the context's tenant. */
export function messageFor(context: TenantContext, text = "Hello"): NormalizedMessage {
  return {
    id: "message-1",
    text,
    userId: "user-1",
    sessionId: "session-1",
    tenantId: context.tenant.id,
    platform: "web",
    metadata: { page: "/pricing" },
    history: [
      { role: "user", text: "Hi" },
      { role: "assistant", text: "How can I help?" },
    ],
    at: "2026-01-01T00:00:00.000Z",
  };
}
