import {
  BoundedMap,
  type Clock,
  freezePrincipal,
  type Keyring,
  parseTenantId,
  type PlatformPrincipal,
  type ProvedBy,
  SCOPES,
  type TenantId,
  type TenantPrincipal,
} from "../../kernel/index.ts";
import { API_KEY_PREFIX, type ApiKeyRecord, isKeyOf, parseApiKey, type PresentedApiKey } from "./api-key.ts";
import type { Credential } from "./carriers.ts";
import type { TokenSubject, TokenVerdict, TokenVerifier } from "./jwt.ts";
import { whenReady } from "./when-ready.ts";

// a JSON Web Token has dots and no colon, so the two are never mistaken for each other
const DEVELOPMENT_TOKEN = /^([^:.]+):([A-Za-z0-9._@-]{1,128})$/;

/** Whom a credential proves; when it proves nobody, why, and what is known of who tried. */
export type Proof =
  | {
      readonly ok: true;
      readonly realm: "tenant";
      readonly tenantId: TenantId;
      readonly principal: TenantPrincipal;
      readonly provedBy: ProvedBy;
    }
  | { readonly ok: true; readonly realm: "platform"; readonly principal: PlatformPrincipal; readonly provedBy: ProvedBy }
  | {
      readonly ok: false;
      readonly reason: string;
      readonly actor?: string;
      readonly actorTenant?: TenantId | null;
      readonly claimedTenant?: TenantId;
    };

/** Keys that were right lately, by their text. A text that was never right is not kept, so nobody can fill this with guesses. */
const KEYS_REMEMBERED_MAX = 150_000;

/** What credentials are proved with. */
export interface ProofPorts {
  readonly clock: Clock;
  /** What was read of keys that were right: reading costs two hashes, which their second request need not pay. */
  readonly readKeys: BoundedMap<string, PresentedApiKey>;
  readonly keyring: Keyring;
  readonly findKey: (id: string) => ApiKeyRecord | undefined | Promise<ApiKeyRecord | undefined>;
  /** Whether there is a channel of this id. */
  readonly hasChannel: (id: string) => boolean | Promise<boolean>;
  readonly tokens: TokenVerifier;
  readonly developmentToken: boolean;
}

/** An empty memory of keys that were right. */
export function createReadKeys(): BoundedMap<string, PresentedApiKey> {
  return new BoundedMap(KEYS_REMEMBERED_MAX);
}

/** Proves one credential by its own kind. Kinds are told apart by text alone and never tried one after the other. */
export function prove(credential: Credential, ports: ProofPorts): Proof | Promise<Proof> {
  const { text } = credential;
  if (text === "") return { ok: false, reason: "empty_credential" };
  // what a browser sends by itself is only ever a session
  const isCookie = credential.carrier === "cookie";
  if (!isCookie && text.startsWith(API_KEY_PREFIX)) return proveApiKey(text, ports);
  if (!isCookie && ports.developmentToken && text.includes(":")) return proveDevelopmentToken(text);
  return whenReady(ports.tokens.verifyToken(text), (verdict) => {
    const channel = verdict.ok && verdict.token.realm === "tenant" ? verdict.token.channel : undefined;
    if (channel === undefined) return fromVerdict(verdict);
    return whenReady(ports.hasChannel(channel), (isThere) => (isThere ? fromVerdict(verdict) : { ok: false, reason: "channel_gone" }));
  });
}

function proveApiKey(text: string, ports: ProofPorts): Proof | Promise<Proof> {
  const read = ports.readKeys.get(text);
  const presented = read ?? parseApiKey(text, ports.keyring);
  if (!presented) return { ok: false, reason: "malformed_key" };
  return whenReady(ports.findKey(presented.id), (record) => {
    const proof = fromRecord(record, presented, ports.clock.now());
    if (!proof.ok) ports.readKeys.delete(text);
    else if (!read) ports.readKeys.set(text, presented);
    return proof;
  });
}

function fromRecord(record: ApiKeyRecord | undefined, presented: PresentedApiKey, nowMs: number): Proof {
  if (!record || !isKeyOf(record, presented)) return { ok: false, reason: "unknown_key" };
  const { id, tenantId: actorTenant } = record;
  if (record.revokedAtMs !== null && record.revokedAtMs <= nowMs) return { ok: false, reason: "revoked_key", actor: id, actorTenant };
  if (record.expiresAtMs !== null && record.expiresAtMs <= nowMs) return { ok: false, reason: "expired_key", actor: id, actorTenant };
  const known = proofs.get(record);
  if (known) return known;
  const proof = proofOf(record);
  proofs.set(record, proof);
  return proof;
}

/** A record never changes, so what it proves does not either; one object for all requests also lets others go by its identity. */
const proofs = new WeakMap<ApiKeyRecord | TokenSubject, Proof>();

function proofOf(record: ApiKeyRecord): Proof {
  const { id, scopes } = record;
  return record.realm === "platform"
    ? { ok: true, realm: "platform", principal: { realm: "platform", kind: "api_key", id, roles: record.roles }, provedBy: "api_key" }
    : {
        ok: true,
        realm: "tenant",
        tenantId: record.tenantId,
        principal: freezePrincipal({ realm: "tenant", kind: "api_key", id, roles: record.roles, scopes }),
        provedBy: "api_key",
      };
}

function proveDevelopmentToken(text: string): Proof {
  const [, slug, id] = DEVELOPMENT_TOKEN.exec(text) ?? [];
  const tenantId = parseTenantId(slug);
  if (tenantId === undefined || id === undefined) return { ok: false, reason: "malformed_development_token" };
  const principal: TenantPrincipal = { realm: "tenant", kind: "user", id, roles: ["admin"], scopes: SCOPES };
  return { ok: true, realm: "tenant", tenantId, principal, provedBy: "development_token" };
}

function fromVerdict(verdict: TokenVerdict): Proof {
  if (!verdict.ok) {
    const { reason, attempt } = verdict;
    if (!attempt) return { ok: false, reason };
    return { ok: false, reason, actor: attempt.subject, actorTenant: attempt.issuerTenant, claimedTenant: attempt.claimedTenant };
  }
  const known = proofs.get(verdict.token);
  if (known) return known;
  const proof = proofOfToken(verdict.token);
  proofs.set(verdict.token, proof);
  return proof;
}

function proofOfToken(token: TokenSubject): Proof {
  const provedBy = "jwt";
  if (token.realm === "platform") {
    return { ok: true, realm: "platform", principal: { realm: "platform", kind: "user", id: token.subject, roles: token.roles }, provedBy };
  }
  const principal = freezePrincipal({ realm: "tenant", kind: "user", id: token.subject, roles: token.roles, scopes: token.scopes });
  return { ok: true, realm: "tenant", tenantId: token.tenantId, principal, provedBy };
}
