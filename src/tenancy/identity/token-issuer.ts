import { createHash, createPrivateKey, createPublicKey, type JsonWebKey, type KeyObject } from "node:crypto";
import {
  type Clock,
  type Json,
  type Keyring,
  type PlatformRole,
  type Random,
  type Scope,
  systemRandom,
  type TenantId,
  type TenantRole,
} from "../../kernel/index.ts";
import { encodePart, signParts } from "./compact-jws.ts";
import { TOKEN_LIFETIME_MAX_S } from "./jwt.ts";
import { CHANNEL_CLAIM, CLAIM_NAMES, type IssuerSettings, SCOPES_CLAIM } from "./settings.ts";

/** The `iss` and `aud` of the platform's own tokens. */
export const OWN_ISSUER = "freehold";

/** PKCS#8 in front of the 32 bytes of an Ed25519 private key (RFC 8410, 7). */
const PKCS8_PREFIX = Buffer.from("302e020100300506032b657004220420", "hex");
const SEED_BYTES = 32;

/** The platform's own Ed25519 key. */
export interface SigningKey {
  /** RFC 7638 thumbprint: the same key always has the same name. */
  readonly kid: string;
  readonly privateKey: KeyObject;
  readonly publicJwk: { readonly kty: string; readonly crv: string; readonly x: string };
}

/** Whom a token is for and for how long. */
export interface TokenRequest<Role> {
  readonly sub: string;
  readonly roles: readonly Role[];
  /** Up to 24 hours. */
  readonly lifetimeMs: number;
}

/** The platform as an issuer of tokens, by the same rules as any other. */
export interface TokenIssuer {
  /** A token for somebody inside one tenant, with every scope unless some are named; good no longer than the channel that it is for, if it is for one. */
  issue(
    request: TokenRequest<TenantRole> & { readonly tenantId: TenantId; readonly scopes?: readonly Scope[]; readonly channel?: string },
  ): string;
  /** A token for an operator. */
  issuePlatform(request: TokenRequest<PlatformRole>): string;
  /** The public keys, as served at `/.well-known/freehold/jwks.json`. */
  jwks(): { keys: { [name: string]: Json }[] };
  /** What makes identity believe the tokens: for all tenants, and for operators. */
  trust(): IssuerSettings;
}

/** A new key. */
export function createSigningKey(random: Random = systemRandom): SigningKey {
  return parseSigningKey(Buffer.concat([PKCS8_PREFIX, random.bytes(SEED_BYTES)]));
}

/** The key of PKCS#8 bytes or of a private JWK. Throws a TypeError for anything but an Ed25519 private key. */
export function parseSigningKey(value: Uint8Array | JsonWebKey): SigningKey {
  const privateKey =
    value instanceof Uint8Array
      ? createPrivateKey({ key: Buffer.from(value), format: "der", type: "pkcs8" })
      : createPrivateKey({ key: value, format: "jwk" });
  const { kty, crv, x } = createPublicKey(privateKey).export({ format: "jwk" });
  if (privateKey.asymmetricKeyType !== "ed25519" || !kty || !crv || !x) throw new TypeError("the signing key must be Ed25519");
  // members in alphabetical order (RFC 7638, 3.2; RFC 8037, 2)
  const kid = createHash("sha256").update(JSON.stringify({ crv, kty, x })).digest("base64url");
  return { kid, privateKey, publicJwk: { kty, crv, x } };
}

/** The installation's signing key, which follows from its root key: the same in every process. */
export function ownSigningKey(keyring: Keyring): SigningKey {
  return parseSigningKey(Buffer.concat([PKCS8_PREFIX, keyring.key("token-signing")]));
}

/** The PKCS#8 bytes of a key, to be kept where secrets are kept. */
export function exportSigningKey(key: SigningKey): Buffer {
  return key.privateKey.export({ format: "der", type: "pkcs8" });
}

/** An issuer that signs with this key. */
export function createTokenIssuer(key: SigningKey, clock: Clock, issuer: string = OWN_ISSUER): TokenIssuer {
  const header = encodePart({ alg: "EdDSA", kid: key.kid, typ: "at+jwt" });
  const jwks = (): { keys: { [name: string]: Json }[] } => ({ keys: [{ ...key.publicJwk, kid: key.kid, alg: "EdDSA", use: "sig" }] });

  function issue(sub: string, lifetimeMs: number, claims: { readonly [name: string]: Json }): string {
    const lifetimeS = Math.floor(lifetimeMs / 1000);
    if (!(lifetimeS >= 1 && lifetimeS <= TOKEN_LIFETIME_MAX_S)) throw new RangeError("a token lives from one second to 24 hours");
    const iat = Math.floor(clock.now() / 1000);
    const payload = encodePart({ ...claims, iss: issuer, aud: issuer, sub, iat, exp: iat + lifetimeS, token_use: "access" });
    return signParts(header, payload, key.privateKey);
  }

  return {
    issue: ({ sub, tenantId, roles, scopes, channel, lifetimeMs }) =>
      issue(sub, lifetimeMs, {
        [CLAIM_NAMES.tenant]: tenantId,
        [CLAIM_NAMES.roles]: [...roles],
        ...(scopes && { [SCOPES_CLAIM]: [...scopes] }),
        ...(channel !== undefined && { [CHANNEL_CLAIM]: channel }),
      }),
    issuePlatform: ({ sub, roles, lifetimeMs }) => issue(sub, lifetimeMs, { [CLAIM_NAMES.platformRoles]: [...roles] }),
    jwks,
    trust: () => ({ issuer, audience: issuer, tenants: "*", jwks: jwks(), platform: true, claims: CLAIM_NAMES }),
  };
}
