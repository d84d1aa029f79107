import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import {
  createKeyring,
  Fault,
  type FaultCode,
  type Keyring,
  parseTenantId,
  systemRandom,
  type Tenant,
  type TenantContext,
  type TenantId,
  type TenantStatus,
  uuidV5,
} from "../../src/kernel/index.ts";
import {
  type ApiKeyRecord,
  createIdentity,
  createSigningKey,
  type Identified,
  type Identity,
  type IdentityAudit,
  identitySettings,
  mintApiKey,
} from "../../src/tenancy/identity/index.ts";
import { createFailureCounter } from "../../src/cli/open-identity.ts";
import { createLimits } from "../../src/tenancy/limits/index.ts";
import type { RequestHead } from "../../src/wire/index.ts";
import { createManualClock, type ManualClock } from "../support/clock.ts";
import { createIssuerKey, type IssuerKey } from "./issuer-keys.ts";
import { fetchBytes } from "./key-server.ts";
import { bearer, type Fields, requestHead } from "./requests.ts";

export const TRACE = { traceId: "0af7651916cd43dd8448eb211c80319c", spanId: "b7ad6b7169203331", sampled: true };

export function tenantId(text: string): TenantId {
  const id = parseTenantId(text);
  assert.ok(id !== undefined, `${text} is a tenant id`);
  return id;
}

export function createTenant(id: string, status: TenantStatus = "active"): Tenant {
  return {
    id: tenantId(id),
    uuid: uuidV5("6ba7b810-9dad-11d1-80b4-00c04fd430c8", [id]),
    name: id,
    plan: "starter",
    isolationLevel: "shared",
    placement: { data: "row", wanted: "row", epoch: 0 },
    quotas: { maxUsers: 1, maxProjects: 1, maxAIRequests: 1, storageLimit: 1, computeLimit: 1, networkBandwidth: 1 },
    rate: { requestsPerSecond: 1, burst: 1 },
    features: [],
    billing: { currency: "EUR", monthlyPriceMinor: 0, email: null },
    locale: "en",
    status,
    agentConfig: { invokeUrl: null, timeout: 1, protocol: "builtin", concurrency: 1, model: null, mcpServers: [] },
    channels: { web: { enabled: true } },
    agentSecrets: { apiKey: false, signingSecret: false, mcp: [] },
    sessions: { retentionDays: null, idleMinutes: null },
    errorTexts: {},
    version: 1,
    createdAt: "2027-01-01T00:00:00Z",
  };
}

/** An issuer as in the settings, with the key it signs with. */
export interface TestIssuer {
  readonly settings: Record<string, unknown> & { readonly issuer: string; readonly audience: string };
  readonly key: IssuerKey;
}

const issuerKeys = new Map<string, IssuerKey>();

/** The issuer `https://{name}.test` with a key of its own. Making RSA keys is slow, so each is made once. */
export function createIssuer(name: string, tenants: readonly string[] | "*", more: Record<string, unknown> = {}): TestIssuer {
  const key = issuerKeys.get(name) ?? createIssuerKey("ES256", `${name}-1`);
  issuerKeys.set(name, key);
  const keys = "jwksUrl" in more ? {} : { jwks: { keys: [key.jwk] } };
  return { settings: { issuer: `https://${name}.test`, audience: "https://api.example.com", tenants, ...keys, ...more }, key };
}

export interface IdentityUnderTest {
  readonly identity: Identity;
  readonly clock: ManualClock;
  readonly keyring: Keyring;
  readonly audits: IdentityAudit[];
  /** Stored tenants and keys, and what was asked for. */
  readonly tenants: Map<string, Tenant>;
  readonly keys: Map<string, ApiKeyRecord>;
  readonly lookedUp: string[];
  /** The text of a new key of this tenant. */
  newKey(tenant: string, more?: Partial<ApiKeyRecord & { realm: "tenant" }>): { readonly id: string; readonly text: string };
  /** Claims that are good for the tenant, at this moment. */
  claims(issuer: TestIssuer, tenant: string): Record<string, unknown>;
  token(issuer: TestIssuer, tenant: string, more?: Record<string, unknown>): string;
  ask(fields?: Fields, target?: string, host?: string): Promise<Identified>;
}

/** The room on tenants a, b (active), s (suspended), p (provisioning), m (moving), d (deleting) and e (erased). */
export function createIdentityUnderTest(
  issuers: readonly TestIssuer[] = [],
  settings: Record<string, unknown> = {},
  customHosts: Readonly<Record<string, string>> = {},
): IdentityUnderTest {
  const clock = createManualClock();
  const keyring = createKeyring(randomBytes(32));
  const audits: IdentityAudit[] = [];
  const keys = new Map<string, ApiKeyRecord>();
  const lookedUp: string[] = [];
  const tenants = new Map(
    (["a", "b"] as string[])
      .map((id) => [id, createTenant(id)] as [string, Tenant])
      .concat([
        ["s", createTenant("s", "suspended")],
        ["p", createTenant("p", "provisioning")],
        ["m", createTenant("m", "moving")],
        ["d", createTenant("d", "deleting")],
        ["e", createTenant("e", "erased")],
      ]),
  );
  const parsed = identitySettings.parse({
    baseDomains: ["api.example.com"],
    failedCredentials: { max: 1_000_000 },
    issuers: issuers.map((issuer) => issuer.settings),
    ...settings,
  });
  const identity = createIdentity(parsed, {
    clock,
    keyring,
    findTenant: (id) => tenants.get(id),
    findKey: (id) => {
      lookedUp.push(id);
      return keys.get(id);
    },
    hasChannel: () => false,
    tenantOfHost: (host) => parseTenantId(customHosts[host]),
    fetchBytes,
    countFailure: createFailureCounter(createLimits({ clock })),
    audit: (entry) => void audits.push(entry),
    signingKey: createSigningKey(),
  });
  const claims: IdentityUnderTest["claims"] = ({ settings: { issuer, audience } }, tenant) => {
    const iat = clock.seconds;
    return { iss: issuer, aud: audience, sub: "user-1", tenant_id: tenant, iat, exp: iat + 3600 };
  };
  return {
    identity,
    clock,
    keyring,
    audits,
    tenants,
    keys,
    lookedUp,
    newKey: (tenant, more) => {
      const { id, hash, secret } = mintApiKey({ random: systemRandom, keyring });
      const record = { id, hash, realm: "tenant", tenantId: tenantId(tenant), roles: ["member"], scopes: ["chat"] } as const;
      keys.set(id, { ...record, expiresAtMs: null, revokedAtMs: null, ...more });
      return { id, text: secret.reveal() };
    },
    claims,
    token: (issuer, tenant, more) => issuer.key.sign({ ...claims(issuer, tenant), ...more }),
    ask: async (fields, target, host) => identity.identify(requestHead(fields, target, host), "request-1", TRACE),
  };
}

/** Asks with this token as bearer. */
export function askWith(house: IdentityUnderTest, token: string): Promise<Identified> {
  return house.ask([bearer(token)]);
}

export function assertContext(identified: Identified, tenant: string): TenantContext {
  assert.ok(identified.ok, identified.ok ? "" : identified.fault.message);
  assert.ok(identified.realm === "tenant");
  assert.equal(identified.context.tenant.id, tenant);
  return identified.context;
}

export function assertFault(identified: Identified, code: FaultCode): Fault {
  assert.ok(!identified.ok, "is refused");
  assert.ok(identified.fault instanceof Fault);
  assert.equal(identified.fault.code, code);
  return identified.fault;
}

/** A head whose reading is counted by nobody: for calls without a promise. */
export function identifyNow(house: IdentityUnderTest, head: RequestHead): Identified {
  const identified = house.identity.identify(head, "request-1", TRACE);
  assert.ok(!(identified instanceof Promise), "answers at once");
  return identified;
}
