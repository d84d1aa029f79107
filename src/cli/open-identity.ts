import { Fault, type Keyring, systemClock, type Tenant } from "../kernel/index.ts";
import type { Audit } from "../tenancy/audit/index.ts";
import {
  type ApiKeyRecord,
  type CountFailure,
  createIdentity,
  type Identity,
  type IdentityAudit,
  ownSigningKey,
} from "../tenancy/identity/index.ts";
import type { Limits } from "../tenancy/limits/index.ts";
import type { Registry, StoredKey } from "../tenancy/registry/index.ts";
import type { Egress } from "../wire/index.ts";
import type { Settings } from "./settings.ts";
import type { Telemetry } from "./telemetry.ts";

const KEY_SET_BYTES_MAX = 64 * 1024;
const KEY_SET_TIMEOUT_MS = 5_000;

/** Identity over the registry, the audit trail and the guarded way out. */
export function openIdentity(
  settings: Settings,
  keyring: Keyring,
  registry: Registry,
  audit: Audit,
  egress: Egress,
  telemetry: Telemetry,
  limits: Limits,
): Identity {
  return createIdentity(settings.identity, {
    clock: systemClock,
    keyring,
    signingKey: ownSigningKey(keyring),
    findTenant: (id) => registry.find(id),
    findKey: (id) => {
      const found = registry.findKey(id);
      return found instanceof Promise ? found.then(toKeyRecord) : toKeyRecord(found);
    },
    hasChannel: (id) => {
      const found = registry.installations.find(id);
      return found instanceof Promise ? found.then((channel) => channel !== undefined) : found !== undefined;
    },
    tenantOfHost: (host) => registry.tenantOfHost(host),
    fetchBytes: async (url) => await fetchKeySet(egress, url),
    keySetFailed: (_issuer, fault) => telemetry.report(fault),
    countFailure: createFailureCounter(limits),
    audit: createIdentityAudit(registry, audit),
  });
}

/** Counts failed credentials where limits count: for all gateways that share them, else for this process. */
export function createFailureCounter(limits: Pick<Limits, "window" | "defaultScope">): CountFailure {
  return (subscriber, { max, windowMs }) =>
    limits.window(["", "failed-credentials", subscriber], { count: max, windowMs, kind: "fixed", scope: limits.defaultScope });
}

/** What identity has to say about who was refused, in the trails of their tenant and of the platform. */
export function createIdentityAudit(registry: Pick<Registry, "find">, audit: Audit): (entry: IdentityAudit) => void {
  return (entry) => {
    const { actorTenant, claimedTenant, remoteAddress, ...event } = entry;
    const tenant = actorTenant === null ? undefined : registry.find(actorTenant);
    const record = (found: Tenant | undefined): void =>
      audit.record({
        ...event,
        source: remoteAddress,
        targetTenant: claimedTenant,
        // the trail of a tenant on its way out is erased: nothing is written to it again
        actorTenant: found && found.status !== "deleting" && found.status !== "erased" ? { id: found.id, uuid: found.uuid } : null,
      });
    if (tenant instanceof Promise) tenant.then(record, () => record(undefined));
    else record(tenant);
  };
}

async function fetchKeySet(egress: Egress, url: string): Promise<Uint8Array> {
  const headers = { accept: "application/json" };
  const response = await egress.request("platform", {
    method: "GET",
    url,
    headers,
    timeoutMs: KEY_SET_TIMEOUT_MS,
    bytesMax: KEY_SET_BYTES_MAX,
  });
  if (response.status !== 200) throw new Fault("upstream_invalid", `the key set answered with status ${response.status}`);
  return await response.bytes();
}

/** A stored key never changes: what was made of it is the same object each time, by which identity knows it again. */
const keyRecords = new WeakMap<StoredKey, ApiKeyRecord>();

function toKeyRecord(key: StoredKey | undefined): ApiKeyRecord | undefined {
  if (!key) return undefined;
  const known = keyRecords.get(key);
  if (known) return known;
  const record = recordOf(key);
  keyRecords.set(key, record);
  return record;
}

function recordOf(key: StoredKey): ApiKeyRecord {
  const { id, hash, roles, scopes, tenantId } = key;
  const facts = { id, hash, scopes, expiresAtMs: key.expiresAt?.getTime() ?? null, revokedAtMs: key.revokedAt?.getTime() ?? null };
  return tenantId === null
    ? { ...facts, realm: "platform", tenantId, roles: roles.filter((role) => role !== "member") }
    : { ...facts, realm: "tenant", tenantId, roles: roles.filter((role) => role !== "viewer") };
}
