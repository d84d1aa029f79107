import type { Json } from "../../../kernel/index.ts";
import type { Call, ConsumerCredential, Plugin, PluginOwner, PluginPorts, Profile } from "../../proxy/plugin.ts";
import { ANONYMOUS_CONSUMER, realmSchema } from "../shared/auth-schema.ts";
import { type Authentication, type AuthSettings, createAuthInstance } from "../shared/authenticate.ts";
import { type CredentialPlaces, hideCredential, peekCredential, readCredential } from "../shared/credential-place.ts";
import { type Claims, keepClaims } from "../shared/verified-claims.ts";
import { ASYMMETRIC_ALGORITHMS, createTokenKey, parseToken, SYMMETRIC_ALGORITHMS, type Token, type TokenKey } from "./token.ts";
import { type VerifiedTokens, verifiedTokensOf } from "./verified-tokens.ts";

interface Settings extends AuthSettings {
  readonly header: string;
  /** By default `jwt` in the apisix profile and nowhere in strict: what stands in an address stands in logs as well. */
  readonly query?: string;
  readonly cookie: string;
  readonly key_claim_name: string;
  readonly realm: string;
  readonly claims_to_verify?: readonly ("exp" | "nbf")[];
}

interface CredentialSettings {
  readonly key: string;
  readonly algorithm: string;
  readonly secret?: string;
  readonly base64_secret?: boolean;
  readonly public_key?: string;
  readonly lifetime_grace_period?: number;
}

/** Proves a consumer by a JSON Web Token that was signed with the key of its credential. */
export const jwtAuth: Plugin<Settings, CredentialSettings> = {
  name: "jwt-auth",
  priority: 2510,
  kind: "auth",
  schema: {
    type: "object",
    properties: {
      header: { type: "string", default: "authorization" },
      query: { type: "string" },
      cookie: { type: "string", default: "jwt" },
      hide_credentials: { type: "boolean" },
      key_claim_name: { type: "string", default: "key", minLength: 1 },
      store_in_ctx: { type: "boolean", default: false },
      realm: realmSchema("jwt"),
      anonymous_consumer: ANONYMOUS_CONSUMER,
      claims_to_verify: { type: "array", items: { type: "string", enum: ["exp", "nbf"] }, uniqueItems: true },
    },
  },
  consumer: { schema: consumerSchema(), unique: "key", check: checkCredential },
  claims(settings, head, profile) {
    const token = parseToken(withoutScheme(peekCredential(head, placesOf(settings, profile)) ?? ""));
    const key = token && keyIn(token, settings);
    return typeof key === "string" ? [{ plugin: "jwt-auth", value: key }] : [];
  },
  create(settings, owner, ports) {
    const places = placesOf(settings, owner.profile);
    const verification = { ports, keys: new CredentialKeys(owner, ports), verified: verifiedTokensOf(ports) };
    return createAuthInstance(
      {
        name: "jwt-auth",
        challenge: `Bearer realm="${settings.realm}"`,
        hide: (call) => hideCredential(call, places),
        check: (call) => check(call, readCredential(call, places, owner.profile), settings, verification),
      },
      settings,
      owner,
      ports,
    );
  },
};

function check(call: Call, carried: string | undefined, settings: Settings, { ports, keys, verified }: Verification): Authentication {
  if (carried === undefined) return { ok: false, message: "Missing JWT token in request", presented: false };
  const text = withoutScheme(carried);
  const token = verified.token(text) ?? parseToken(text);
  if (!token) return failed("JWT token invalid");
  const key = keyIn(token, settings);
  if (key === undefined || key === null || key === false) return failed("missing user key in JWT token");
  const found = typeof key === "string" ? ports.findConsumer("jwt-auth", key) : undefined;
  if (!found) return failed("Invalid user key in JWT token");
  const credential = keys.of(found);
  // the credential decides what signs its tokens, the token only says that it was so (RFC 8725, 3.1)
  if (!credential || credential.key.algorithm !== token.algorithm) return failed("failed to verify jwt");
  if (!verified.isOf(text, found)) {
    if (!credential.key.verifies(token)) return failed("failed to verify jwt");
    verified.keep(text, token, found);
  }
  const nowS = Math.floor(ports.clock.now() / 1000);
  if (!isWithinLifetime(token.claims, settings.claims_to_verify ?? [], nowS, credential.graceS)) return failed("failed to verify jwt");
  keepClaims(call, token.claims);
  return { ok: true, found };
}

function placesOf({ header, query, cookie }: Settings, profile: Profile): CredentialPlaces {
  return { header, query: query ?? (profile === "strict" ? undefined : "jwt"), cookie };
}

function withoutScheme(carried: string): string {
  return carried.startsWith("Bearer ") || carried.startsWith("bearer ") ? carried.slice(7) : carried;
}

/** The name of the credential whose key is said to have signed the token. */
function keyIn({ claims }: Token, { key_claim_name: name }: Settings): Json | undefined {
  return Object.hasOwn(claims, name) ? claims[name] : undefined;
}

/** What tokens are verified with. */
interface Verification {
  readonly ports: PluginPorts;
  readonly keys: CredentialKeys;
  readonly verified: VerifiedTokens;
}

function failed(message: string): Authentication {
  return { ok: false, message, presented: true };
}

/** Claims that are asked for have to be there; without such a list both are checked where they are. */
function isWithinLifetime(claims: Claims, wanted: readonly ("exp" | "nbf")[], nowS: number, graceS: number): boolean {
  const looked = wanted.length === 0 ? (["nbf", "exp"] as const).filter((name) => Object.hasOwn(claims, name)) : wanted;
  return looked.every((name) => {
    const value = Object.hasOwn(claims, name) ? claims[name] : undefined;
    if (typeof value !== "number") return false;
    return name === "exp" ? value > nowS - graceS : value < nowS + graceS;
  });
}

/** The key of each credential, read when it is first used. */
class CredentialKeys {
  readonly #owner: PluginOwner;
  readonly #ports: PluginPorts;
  readonly #known = new WeakMap<object, { readonly key: TokenKey; readonly graceS: number } | { readonly unusable: true }>();

  constructor(owner: PluginOwner, ports: PluginPorts) {
    this.#owner = owner;
    this.#ports = ports;
  }

  of(found: ConsumerCredential): { readonly key: TokenKey; readonly graceS: number } | undefined {
    const known = this.#known.get(found.settings) ?? this.#read(found);
    return "unusable" in known ? undefined : known;
  }

  #read(found: ConsumerCredential): { readonly key: TokenKey; readonly graceS: number } | { readonly unusable: true } {
    // checked against the schema for consumers
    const {
      algorithm,
      secret = "",
      base64_secret: isEncoded,
      public_key: pem = "",
      lifetime_grace_period: graceS = 0,
    } = found.settings as unknown as CredentialSettings;
    const shared = isEncoded === true ? Buffer.from(secret, "base64") : secret;
    const key = createTokenKey(algorithm, algorithm.startsWith("HS") ? shared : pem, this.#owner.profile === "strict");
    if (!key)
      this.#ports.warn("a key for jwt-auth is none for its algorithm, or too weak", { consumer: found.consumer.username, algorithm });
    const entry = key ? { key, graceS } : ({ unusable: true } as const);
    this.#known.set(found.settings, entry);
    return entry;
  }
}

const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}(?:==)?|[A-Za-z0-9+/]{3}=?)?$/;

function checkCredential({ algorithm, secret, base64_secret: isEncoded, public_key: pem }: CredentialSettings): string | undefined {
  const isSymmetric = algorithm.startsWith("HS");
  if (isSymmetric && secret === undefined) return 'property "secret" is required when using HS based algorithms';
  if (isEncoded === true && !BASE64.test(secret ?? "")) return "base64_secret required but the secret is not in base64 format";
  if (!isSymmetric && pem === undefined) return "missing valid public key";
  return undefined;
}

function consumerSchema(): Record<string, unknown> {
  return {
    type: "object",
    properties: {
      key: { type: "string", minLength: 1 },
      secret: { type: "string", minLength: 1 },
      algorithm: { type: "string", enum: [...SYMMETRIC_ALGORITHMS, ...ASYMMETRIC_ALGORITHMS], default: "HS256" },
      exp: { type: "integer", minimum: 1, default: 86_400 },
      base64_secret: { type: "boolean", default: false },
      lifetime_grace_period: { type: "integer", minimum: 0, default: 0 },
    },
    dependencies: {
      algorithm: {
        oneOf: [
          { properties: { algorithm: { enum: [...SYMMETRIC_ALGORITHMS], default: "HS256" } } },
          {
            properties: { public_key: { type: "string", minLength: 1 }, algorithm: { enum: [...ASYMMETRIC_ALGORITHMS] } },
            required: ["public_key"],
          },
        ],
      },
    },
    required: ["key"],
  };
}
