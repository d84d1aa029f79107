import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import {
  createTenantContext,
  parseTenantId,
  type Tenant,
  type TenantContext,
  type TenantId,
  type TenantPrincipal,
  uuidV5,
} from "../../src/kernel/index.ts";
import { assertAbsent } from "../../src/sdk/testing/canary.ts";

const NAMESPACE = "6a7f5f0a-1f0e-4f43-9a56-0c4a6f2d9b11";

/** Bytes that belong to tenant b alone: every value that a test stores for b has them. */
export const CANARY = `CANARY-b-${randomBytes(8).toString("hex")}`;

/** The text as this tenant stores it: for b, with the canary. */
export function valueOf(tenant: string, text: string): string {
  return tenant === "b" ? `${text} ${CANARY}` : text;
}

/** Fails when the canary is anywhere in what reached somebody else: bytes, text, errors, or values inside each other. */
export function assertNoCanary(value: unknown): void {
  assertAbsent(CANARY, value, "tenant b");
}

/** The slug as a TenantId. */
export function tenantIdOf(name: string): TenantId {
  const id = parseTenantId(name);
  assert.ok(id, `${name} is no tenant id`);
  return id;
}

/** A whole, active tenant with this slug. The same slug always has the same internal id. */
export function tenantOf(name: string, parts: Partial<Tenant> = {}): Tenant {
  return Object.freeze({
    id: tenantIdOf(name),
    uuid: uuidV5(NAMESPACE, [name]),
    name: valueOf(name, `Tenant ${name}`),
    plan: "starter",
    isolationLevel: "shared",
    placement: { data: "row", wanted: "row", epoch: 0 },
    quotas: {
      maxUsers: 10,
      maxProjects: 10,
      maxAIRequests: 1_000,
      storageLimit: 1_000_000,
      computeLimit: 1_000_000,
      networkBandwidth: 1_000_000,
    },
    rate: { requestsPerSecond: 100, burst: 100 },
    features: [],
    billing: { currency: "EUR", monthlyPriceMinor: 0, email: null },
    locale: "en",
    status: "active",
    agentConfig: { invokeUrl: null, timeout: 10_000, protocol: "builtin", concurrency: 5, model: null, mcpServers: [] },
    channels: { web: { enabled: true } },
    agentSecrets: { apiKey: false, signingSecret: false, mcp: [] },
    sessions: { retentionDays: null, idleMinutes: null },
    errorTexts: {},
    version: 1,
    createdAt: "2026-01-01T00:00:00.000Z",
    ...parts,
  } satisfies Tenant);
}

const USER: TenantPrincipal = { realm: "tenant", kind: "user", id: "user-1", roles: ["member"], scopes: ["chat"] };

/** The context of the user `user-1` of the tenant. Every tenant has one: ids overlap on purpose. */
export function contextOf(tenant: string | Tenant, principal: Partial<TenantPrincipal> = {}): TenantContext {
  return createTenantContext({
    tenant: typeof tenant === "string" ? tenantOf(tenant) : tenant,
    principal: { ...USER, ...principal },
    provedBy: "jwt",
    requestId: "request-1",
    trace: { traceId: "0af7651916cd43dd8448eb211c80319c", spanId: "b7ad6b7169203331", sampled: true },
  });
}
