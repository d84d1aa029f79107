import { createFailureCounter, createIdentityAudit } from "../cli/index.ts";
import {
  createTenantContext,
  Fault,
  parseTenantId,
  parseTraceparent,
  systemClock,
  systemRandom,
  type TenantContext,
  type Trace,
  uuidV7,
} from "../kernel/index.ts";
import {
  type ContextStatement,
  createContextVerifier,
  createIdentification,
  createKeySets,
  createTokenIssuer,
  identitySettings,
  type KeySets,
  ownSigningKey,
  unauthenticated,
} from "../tenancy/identity/index.ts";
import { createLimits } from "../tenancy/limits/index.ts";
import { createHeaderList, type HeaderList, INTERNAL_FIELDS, isForgedInternal, type Outbound, parseTarget } from "../wire/index.ts";
import { createKnownTenants } from "./known-tenants.ts";
import type { House } from "./open-house.ts";
import { gatewayIssuer, keySetUrl, type ServiceSettings } from "./options.ts";

/** A request as a framework received it. */
export interface ServiceRequest {
  readonly method: string;
  /** Path and query as they arrived. */
  readonly target: string;
  /** Header fields as they arrived: order and repetition kept, where the framework keeps them. */
  readonly fields: readonly (readonly [name: string, value: string])[];
  readonly remoteAddress: string;
}

/** A proved context, and the text that proved it where that came from the gateway. */
export interface Authenticated {
  readonly context: TenantContext;
  readonly signed: string | undefined;
}

/** Proves requests. */
export interface Authentication {
  /** Throws a Fault for whatever is not proved. */
  authenticate(request: ServiceRequest): Promise<Authenticated>;
  /** Fetches keys ahead of the first request. Never fails. */
  warm(): Promise<void>;
}

const CONTEXT_FIELD = "x-tenant-context";
const TENANT_FIELD = "x-tenant-id";
const REQUEST_ID = /^[\w.:-]{1,128}$/;
const KEY_SET_TIMEOUT_MS = 5_000;
const KEY_SET_BYTES_MAX = 64 * 1024;
/** How soon the gateway is asked again for its first keys: service and gateway often start together. */
const FIRST_COOL_DOWN_MS = 1_000;

/** The request's own id, as the gateway gave it; a new one where there is none. */
export function requestIdOf(fields: ServiceRequest["fields"]): string {
  const given = fields.find(([name]) => name.toLowerCase() === "x-request-id")?.[1];
  return given !== undefined && REQUEST_ID.test(given) ? given : uuidV7(systemClock, systemRandom);
}

/** Authentication by the gateway's contexts and by the configured issuers, and by nothing else. */
export function createAuthentication(
  settings: ServiceSettings,
  house: House,
  outbound: Outbound,
  report: (fault: Fault) => void,
): Authentication {
  const { audience, profile, issuers } = settings;
  const fetchBytes = (url: string): Promise<Uint8Array> => fetchKeySet(outbound, url);
  const keyPorts = { clock: systemClock, fetchBytes, keySetFailed: (_issuer: string, fault: Fault) => report(fault) };
  const gatewayKeys = createGatewayKeys(settings, house, keyPorts);
  const verifyContext = gatewayKeys && createContextVerifier(audience, gatewayKeys, systemClock);
  const tenants = createKnownTenants(house.registry, house.shared);
  const audit = createIdentityAudit(house.registry, house.audit);
  const tokens =
    issuers.length === 0
      ? undefined
      : createIdentification(identitySettings.parse({ profile, issuers }), {
          ...keyPorts,
          keyring: house.keyring,
          findTenant: (id) => house.registry.find(id),
          findKey: () => undefined, // API keys are proved by the gateway alone
          hasChannel: () => false, // a visitor of a website talks to the gateway alone
          tenantOfHost: () => undefined,
          countFailure: createFailureCounter(createLimits({ clock: systemClock })),
          audit,
        });

  async function byContext(text: string, headers: HeaderList, request: ServiceRequest, requestId: string): Promise<TenantContext> {
    const who = { requestId, remoteAddress: request.remoteAddress };
    const refuse = (reason: string): Fault => {
      audit({ action: "auth_failed", reason, actor: null, actorTenant: null, claimedTenant: null, ...who });
      return unauthenticated(reason);
    };
    const verdict = await verifyContext?.(text);
    if (!verdict) throw refuse("no_gateway");
    if (!verdict.ok) throw verdict.reason === "no_keys" ? keysAway() : refuse(verdict.reason);
    const { tenant, principal, provedBy } = verdict.statement;
    const named = namedTenant(headers);
    if (named !== undefined && named !== tenant.id) {
      const facts = { actor: principal.id, actorTenant: tenant.id, claimedTenant: named, ...who };
      audit({ action: "cross_tenant_attempt", reason: "header_mismatch", ...facts });
      throw new Fault("tenant_mismatch", `a context of ${tenant.id} came with the name of ${named}`);
    }
    const found = await tenants.find(verdict.statement satisfies ContextStatement);
    return createTenantContext({ tenant: found, principal, provedBy, requestId, trace: traceOf(headers) });
  }

  async function byToken(headers: HeaderList, request: ServiceRequest, requestId: string): Promise<TenantContext> {
    if (!tokens) throw unauthenticated("no signed context");
    const { method, target, remoteAddress } = request;
    const head = { method, target: parseTarget(target), headers, host: undefined, authority: undefined, remoteAddress, ...UNKNOWN_PORTS };
    const identified = await tokens.identify(head, requestId, traceOf(headers));
    if (!identified.ok) throw identified.fault;
    if (identified.realm === "tenant") return identified.context;
    throw identified.realm === "public" ? unauthenticated("no credential") : new Fault("forbidden", "an operator is in no tenant");
  }

  return {
    async authenticate(request) {
      const headers = createHeaderList(request.fields.flat());
      refuseLookAlikes(headers);
      const requestId = requestIdOf(request.fields);
      const text = headers.one(CONTEXT_FIELD);
      if (text === undefined) return { context: await byToken(headers, request, requestId), signed: undefined };
      return { context: await byContext(text, headers, request, requestId), signed: text };
    },
    warm: async () => void (await Promise.all([gatewayKeys?.warm(), tokens?.warm()])),
  };
}

/** Nothing that is decided depends on them, and frameworks do not always know them. */
const UNKNOWN_PORTS = { scheme: "http", version: "1.1", remotePort: 0, localAddress: "", localPort: 0 } as const;

/** The keys to believe the gateway by: given, or fetched, or made of the root key where that is shared. None where there is no gateway. */
function createGatewayKeys(
  { audience, gatewayKeys, gatewayUrl }: ServiceSettings,
  house: House,
  ports: Omit<Parameters<typeof createKeySets>[1], "firstCoolDownMs">,
): KeySets | undefined {
  const own = house.shared ? createTokenIssuer(ownSigningKey(house.keyring), systemClock).jwks() : undefined;
  const jwks = gatewayKeys ?? own;
  if (!jwks && gatewayUrl === undefined) return undefined;
  const keys = gatewayUrl === undefined ? { jwks } : { jwksUrl: keySetUrl(gatewayUrl) };
  return createKeySets([gatewayIssuer(audience, keys)], { ...ports, firstCoolDownMs: FIRST_COOL_DOWN_MS });
}

/**
 * `X_Tenant_Context` is another field to us and the same to whoever reads it as CGI does. The gateway removes them, so one that arrives has not
 * come through it.
 */
function refuseLookAlikes(headers: HeaderList): void {
  if (!headers.odd) return;
  for (const [name] of headers.fields) {
    if (!isForgedInternal(name) || INTERNAL_FIELDS.has(name.toLowerCase())) continue;
    const detail = "A header field has a name that can be mistaken for one of the gateway's.";
    throw new Fault("malformed_request", `the header field ${name}`, { public: { detail } });
  }
}

function namedTenant(headers: HeaderList): ReturnType<typeof parseTenantId> {
  const text = headers.one(TENANT_FIELD);
  if (text === undefined) return undefined;
  const id = parseTenantId(text);
  if (id === undefined) throw new Fault("invalid_tenant_id", "X-Tenant-ID is no tenant id", { public: { field: "header" } });
  return id;
}

function traceOf(headers: HeaderList): Trace {
  const [text, ...more] = headers.all("traceparent");
  const trace = text !== undefined && more.length === 0 ? parseTraceparent(text) : undefined;
  return trace ?? { traceId: systemRandom.bytes(16).toString("hex"), spanId: systemRandom.bytes(8).toString("hex"), sampled: false };
}

function keysAway(): Fault {
  const detail = "The gateway's keys cannot be had at the moment. Try again.";
  return new Fault("dependency_unavailable", "no key set of the gateway", { public: { detail, retryAfterMs: FIRST_COOL_DOWN_MS } });
}

async function fetchKeySet(outbound: Outbound, url: string): Promise<Uint8Array> {
  const headers = { accept: "application/json" };
  const bounds = { timeoutMs: KEY_SET_TIMEOUT_MS, bytesMax: KEY_SET_BYTES_MAX, verify: true };
  const { status, body } = await outbound.fetch({ method: "GET", url, headers, ...bounds });
  if (status !== 200) throw new Fault("upstream_invalid", `the key set answered with status ${status}`);
  return body;
}
