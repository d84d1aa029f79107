import {
  createTenantContext,
  Fault,
  type Keyring,
  parseTenantId,
  type PlatformPrincipal,
  type ProvedBy,
  type Tenant,
  type TenantContext,
  type TenantId,
  type Trace,
} from "../../kernel/index.ts";
import type { RequestHead } from "../../wire/index.ts";
import type { ApiKeyRecord } from "./api-key.ts";
import { type Carriers, readCarriers, readClaim } from "./carriers.ts";
import { createContextSigner } from "./context-signer.ts";
import { type CountFailure, createFailureLimit, type FailureLimit, type FailureNote, settleFailure } from "./failure-limit.ts";
import { createKeySets, type KeySetPorts } from "./jwks.ts";
import { createTokenVerifier } from "./jwt.ts";
import { createReadKeys, type Proof, prove, type ProofPorts } from "./prove.ts";
import type { IdentitySettings } from "./settings.ts";
import { createTokenIssuer, OWN_ISSUER, type SigningKey, type TokenIssuer } from "./token-issuer.ts";
import { whenReady } from "./when-ready.ts";

/** Who a request comes from and for whom it is, or why that could not be proved. */
export type Identified =
  | { readonly ok: true; readonly realm: "tenant"; readonly context: TenantContext; readonly routePath: string }
  | {
      readonly ok: true;
      readonly realm: "platform";
      readonly principal: PlatformPrincipal;
      readonly provedBy: ProvedBy;
      readonly routePath: string;
    }
  /** No credential at all: good for public routes only. */
  | { readonly ok: true; readonly realm: "public"; readonly routePath: string }
  | { readonly ok: false; readonly fault: Fault };

/** One entry for the audit trail. It never holds a credential. */
export interface IdentityAudit {
  readonly action: "auth_failed" | "cross_tenant_attempt";
  /** For operators only; callers cannot tell one reason from another. */
  readonly reason: string;
  /** The tenant of who asked, as far as that was proved. */
  readonly actorTenant: TenantId | null;
  readonly actor: string | null;
  /** The tenant that was asked for, as claimed: it need not exist. */
  readonly claimedTenant: TenantId | null;
  readonly requestId: string;
  readonly remoteAddress: string;
}

/** What proving needs of the rest of the house: it stores nothing itself. */
export interface IdentificationPorts extends KeySetPorts {
  readonly keyring: Keyring;
  readonly findTenant: (id: TenantId) => Tenant | undefined | Promise<Tenant | undefined>;
  readonly findKey: (id: string) => ApiKeyRecord | undefined | Promise<ApiKeyRecord | undefined>;
  /** Whether there is a channel of this id. */
  readonly hasChannel: (id: string) => boolean | Promise<boolean>;
  /** The tenant of a verified custom domain. */
  readonly tenantOfHost: (host: string) => TenantId | undefined;
  /** Counts failed credentials, for all that share the count. */
  readonly countFailure: CountFailure;
  /** Takes the entry and returns at once. */
  readonly audit: (entry: IdentityAudit) => void;
}

/** What the identity of a gateway needs besides. */
export interface IdentityPorts extends IdentificationPorts {
  /** Signs the platform's own tokens. */
  readonly signingKey: SigningKey;
}

/** Proves who asks and for which tenant. */
export interface Identification {
  /** The answer, at once when everything needed is in memory. Refusals are values; only a failing port makes it throw. */
  identify(head: RequestHead, requestId: string, trace: Trace): Identified | Promise<Identified>;
  /** The same as the function `agree`, and writes a disagreement to the audit trail. */
  agree(context: TenantContext, value: unknown, remoteAddress: string): void;
  /** The tenant that a key or the host stands for, from memory and without proof; undefined where that is not known at once. */
  claimedTenant(head: RequestHead): TenantId | undefined;
  /** Counts a credential that failed elsewhere, by the address of its connection. */
  noteFailure(remoteAddress: string): FailureNote;
  /** Fetches the issuers' keys ahead of the first request. */
  warm(): Promise<void>;
}

/** The identity of a gateway: it proves, and it speaks for the platform. */
export interface Identity extends Identification {
  /** Issues the platform's own tokens, which `identify` believes. */
  readonly tokens: TokenIssuer;
  /** The signed `X-Tenant-Context` for an upstream. */
  signContext(context: TenantContext, audience: string): string;
}

/** The room of these settings. Throws `weak_key` for a bad key in them and `invalid_settings` for an issuer that calls itself ours. */
export function createIdentity(settings: IdentitySettings, ports: IdentityPorts): Identity {
  if (settings.issuers.some(({ issuer }) => issuer === OWN_ISSUER)) {
    throw new Fault("invalid_settings", `the issuer ${OWN_ISSUER} is the platform itself`, { public: { field: "issuers" } });
  }
  const tokens = createTokenIssuer(ports.signingKey, ports.clock);
  const identification = createIdentification({ ...settings, issuers: [...settings.issuers, tokens.trust()] }, ports);
  return { ...identification, tokens, signContext: createContextSigner(ports.signingKey, ports.clock) };
}

/** Proves by these settings, and believes nobody else: not even the platform's own tokens. Throws `weak_key` for a bad key in them. */
export function createIdentification(settings: IdentitySettings, ports: IdentificationPorts): Identification {
  const { clock, keyring, findKey, hasChannel, tenantOfHost } = ports;
  const { issuers } = settings;
  const keySets = createKeySets(issuers, ports);
  const verifier = createTokenVerifier(issuers, keySets, clock);
  const proofPorts: ProofPorts = {
    clock,
    keyring,
    findKey,
    hasChannel,
    tokens: verifier,
    developmentToken: settings.developmentToken,
    readKeys: createReadKeys(),
  };
  const failures = createFailureLimit(settings.failedCredentials, clock, ports.countFailure);
  const hosts = { baseDomains: settings.baseDomains, tenantOfHost };
  return {
    identify: (head, requestId, trace) => {
      const request = new IdentifiedRequest(head, requestId, trace, ports, failures);
      const carriers = request.read(() => readCarriers(head, hosts));
      if (carriers instanceof Fault) return { ok: false, fault: carriers };
      const { credential, routePath } = carriers;
      if (!credential) return { ok: true, realm: "public", routePath };
      return whenReady(prove(credential, proofPorts), (proof) => request.decide(proof, carriers));
    },
    agree: (context, value, remoteAddress) =>
      agree(context, value, (claimedTenant) => {
        const { tenant, principal, requestId } = context;
        const who = { actorTenant: tenant.id, actor: principal.id, requestId, remoteAddress };
        ports.audit({ action: "cross_tenant_attempt", reason: "body_mismatch", claimedTenant, ...who });
      }),
    claimedTenant: (head) =>
      readClaim(head, hosts, (id) => {
        const found = findKey(id);
        return found instanceof Promise ? undefined : found?.tenantId;
      }),
    noteFailure: (remoteAddress) => failures.note(remoteAddress),
    warm: () => keySets.warm(),
  };
}

/**
 * Passes when a tenant id in a body or query is absent or the caller's own. Throws `invalid_tenant_id` for anything that is not an id and
 * `tenant_mismatch` for another tenant's, after telling `onMismatch`.
 */
export function agree(context: TenantContext, value: unknown, onMismatch?: (claimed: TenantId) => void): void {
  if (value === undefined) return;
  const claimed = parseTenantId(value);
  if (claimed === undefined) throw new Fault("invalid_tenant_id", "a tenantId that is no tenant id", { public: { field: "tenantId" } });
  if (claimed === context.tenant.id) return;
  onMismatch?.(claimed);
  throw new Fault("tenant_mismatch", `a caller of ${context.tenant.id} named ${claimed}`, { public: { field: "tenantId" } });
}

/** The one answer to an absent, faulty or unknown credential. `reason` is for the log. */
export function unauthenticated(reason: string): Fault {
  // RFC 9110, 11.6.1 asks for the field; it says the same whatever the reason
  return new Fault("unauthenticated", reason, { public: { headers: { "www-authenticate": "Bearer" } } });
}

/** The tenant if it is served; else the answer, and for the audit trail a reason where the answer hides it. */
export type Served =
  | { readonly ok: true; readonly tenant: Tenant }
  | { readonly ok: false; readonly fault: Fault; readonly reason?: string };

/** Whether the tenant of this id, as it was found, is served. One on its way out answers like one that never was. */
export function asServed(tenant: Tenant | undefined, id: TenantId): Served {
  if (tenant && tenant.id !== id) throw new Fault("isolation_violation", `asked for ${id}, got ${tenant.id}`);
  switch (tenant?.status) {
    case "active":
    case "moving":
      return { ok: true, tenant };
    case "suspended":
      return { ok: false, fault: new Fault("tenant_suspended", `${id} is suspended`) };
    case "provisioning":
      return { ok: false, fault: new Fault("tenant_not_ready", `${id} is being set up`) };
    default: {
      const reason = `tenant_${tenant?.status ?? "unknown"}`;
      return { ok: false, fault: unauthenticated(reason), reason };
    }
  }
}

/** Who tried, as far as it is known. */
interface Attempted {
  readonly actor?: string | undefined;
  readonly actorTenant?: TenantId | null | undefined;
  readonly claimedTenant?: TenantId | undefined;
}

/** One request on its way from what it carries to what it is. */
class IdentifiedRequest {
  readonly #head: RequestHead;
  readonly #requestId: string;
  readonly #trace: Trace;
  readonly #ports: IdentificationPorts;
  readonly #failures: FailureLimit;

  constructor(head: RequestHead, requestId: string, trace: Trace, ports: IdentificationPorts, failures: FailureLimit) {
    this.#failures = failures;
    this.#head = head;
    this.#requestId = requestId;
    this.#trace = trace;
    this.#ports = ports;
  }

  read(carriers: () => Carriers): Carriers | Fault {
    try {
      return carriers();
    } catch (error) {
      if (!(error instanceof Fault)) throw error;
      return error.code === "ambiguous_credentials" ? this.#failed(error, error.code, {}) : error;
    }
  }

  decide(proof: Proof, carriers: Carriers): Identified | Promise<Identified> {
    if (!proof.ok) return this.#refuse(proof, carriers);
    if (proof.realm === "platform") return this.#platform(proof, carriers);
    const { tenantId, principal } = proof;
    const other = carriers.selectors.find((selector) => selector.tenantId !== tenantId);
    if (other) {
      const reason = `${other.carrier}_mismatch`;
      this.#audit("cross_tenant_attempt", reason, { actor: principal.id, actorTenant: tenantId, claimedTenant: other.tenantId });
      return { ok: false, fault: new Fault("tenant_mismatch", `a caller of ${tenantId} named ${other.tenantId} in the ${other.carrier}`) };
    }
    return whenReady(this.#ports.findTenant(tenantId), (tenant) => this.#tenant(tenant, proof, carriers.routePath));
  }

  #refuse(proof: Proof & { ok: false }, carriers: Carriers): Identified {
    const claimedTenant = proof.claimedTenant ?? carriers.selectors[0]?.tenantId;
    const who = { actor: proof.actor, actorTenant: proof.actorTenant, claimedTenant };
    const fault = this.#failed(unauthenticated(proof.reason), proof.reason, who);
    // signed by an issuer that was trusted for somebody else: an attack, or a wrong setting on their side
    if (proof.claimedTenant !== undefined && fault.code === "unauthenticated") this.#audit("cross_tenant_attempt", proof.reason, who);
    return { ok: false, fault };
  }

  /** An operator is in no tenant; to name one here would be to act as it. */
  #platform(proof: Proof & { ok: true; realm: "platform" }, carriers: Carriers): Identified {
    const { principal, provedBy } = proof;
    const [named] = carriers.selectors;
    if (!named) return { ok: true, realm: "platform", principal, provedBy, routePath: carriers.routePath };
    this.#audit("cross_tenant_attempt", "platform_principal", { actor: principal.id, claimedTenant: named.tenantId });
    return { ok: false, fault: new Fault("forbidden", `an operator named ${named.tenantId} in the ${named.carrier}`) };
  }

  #tenant(tenant: Tenant | undefined, proof: Proof & { ok: true; realm: "tenant" }, routePath: string): Identified {
    const { tenantId, principal, provedBy } = proof;
    const served = asServed(tenant, tenantId);
    if (served.ok) {
      const context = createTenantContext({ tenant: served.tenant, principal, provedBy, requestId: this.#requestId, trace: this.#trace });
      return { ok: true, realm: "tenant", context, routePath };
    }
    if (served.reason === undefined) return served;
    return { ok: false, fault: this.#failed(served.fault, served.reason, { actor: principal.id, actorTenant: tenantId }) };
  }

  /** What a failed credential is answered with, written down. */
  #failed(fault: Fault, reason: string, who: Attempted): Fault {
    const tooMany = settleFailure(this.#failures.note(this.#head.remoteAddress), (over) =>
      over === undefined ? this.#audit("auth_failed", reason, who) : this.#audit("auth_failed", over, {}),
    );
    return tooMany ?? fault;
  }

  #audit(action: IdentityAudit["action"], reason: string, who: Attempted): void {
    const { actor = null, actorTenant = null, claimedTenant = null } = who;
    const { remoteAddress } = this.#head;
    this.#ports.audit({ action, reason, actorTenant, actor, claimedTenant, requestId: this.#requestId, remoteAddress });
  }
}
