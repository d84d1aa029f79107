import { createPublicKey, type JsonWebKey, type KeyObject } from "node:crypto";
import { Fault, type Json } from "../../kernel/index.ts";

/** The signature algorithms per family of keys (RFC 7518, 3.1; RFC 8037, 3.1; RFC 9864, 2.2). Nothing else is ever verified. */
const FAMILIES: ReadonlyMap<string, readonly string[]> = new Map([
  ["RSA", ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"]],
  ["EC P-256", ["ES256"]],
  ["EC P-384", ["ES384"]],
  ["EC P-521", ["ES512"]],
  ["OKP Ed25519", ["EdDSA", "Ed25519"]],
]);

/** Every algorithm a token may name. */
export const SIGNATURE_ALGS: ReadonlySet<string> = new Set([...FAMILIES.values()].flat());

/** Bytes of one coordinate per curve; the encoding has exactly that many (RFC 7518, 6.2.1.2). */
const COORDINATE_BYTES: Readonly<Record<string, number>> = { "P-256": 32, "P-384": 48, "P-521": 66, Ed25519: 32 };

const RSA_BITS_MIN = 2048;
/** A larger modulus makes verifying slow enough to be an attack. */
const RSA_BITS_MAX = 8192;
const RSA_EXPONENT_MIN = 65_537n;
const RSA_EXPONENT_MAX = 2n ** 32n;

const KID_LENGTH_MAX = 256;
const KEYS_MAX = 32;

/** Members that a public key does not have (RFC 7518, 6.2.2, 6.3.2, 6.4.1). */
const PRIVATE_MEMBERS = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"] as const;

/** A public key that was found strong enough, and what it may verify. */
export interface VerificationKey {
  readonly kid: string | undefined;
  readonly algs: readonly string[];
  readonly key: KeyObject;
}

/** The keys of one issuer, looked up by exact `kid`. */
export interface KeySet {
  /** The key of that name; for a token without `kid`, the only key of the set. */
  key(kid: string | undefined): VerificationKey | undefined;
}

type JsonObject = { readonly [name: string]: Json };

/**
 * A set in which every key is public, asymmetric and strong. One bad key refuses the whole set with `weak_key`: an issuer that publishes
 * a private or broken key is not to be trusted with the others. Sound public keys for encryption (`use: "enc"`) are left out.
 */
export function checkJwkSet(value: unknown): KeySet {
  const jwks = isObject(value) ? value["keys"] : undefined;
  if (!Array.isArray(jwks)) throw weak("A key set is an object with a list `keys`.");
  if (jwks.length > KEYS_MAX) throw weak(`A key set has at most ${KEYS_MAX} keys.`);
  const members = jwks.map(checkMember);
  const keys = members.filter((jwk) => jwk["use"] !== "enc").map(checkJwk);
  const byKid = new Map(keys.map((key) => [key.kid, key]));
  if (keys.length === 0) throw weak("A key set has a key for signatures.");
  if (new Set(members.map((jwk) => jwk["kid"])).size !== members.length) throw weak("Each key of a set has its own `kid`.");
  const only = keys.length === 1 ? keys[0] : undefined;
  return { key: (kid) => (kid === undefined ? only : byKid.get(kid)) };
}

/** A key that may verify signatures; throws `weak_key` for any other. */
export function checkJwk(value: unknown): VerificationKey {
  const jwk = checkMember(value);
  const { kty, crv, use, alg, key_ops: operations, kid } = jwk;
  const family = FAMILIES.get(kty === "RSA" ? "RSA" : `${toText(kty)} ${toText(crv)}`);
  if (!family) throw weak("A key is RSA, EC on P-256, P-384 or P-521, or Ed25519.");
  if (use !== undefined && use !== "sig") throw weak("A key is for signatures (`use` is `sig`).");
  if (operations !== undefined && !(Array.isArray(operations) && operations.includes("verify"))) {
    throw weak("A key may be used to verify (`key_ops` has `verify`).");
  }
  const algs = alg === undefined ? family : family.filter((name) => name === alg);
  if (algs.length === 0) throw weak("The `alg` of a key is one that fits its type and curve.");
  const key = kty === "RSA" ? importRsa(jwk) : importCurve(jwk);
  // the type of `kid` was checked with the other members
  return { kid: kid as string | undefined, algs, key };
}

/** What holds for every member of a set, also for keys that are not used. */
function checkMember(value: unknown): JsonObject {
  if (!isObject(value)) throw weak("A key is an object.");
  if (value["kty"] === "oct") throw weak("A key set has no symmetric key: who can verify with it can also sign.");
  for (const name of PRIVATE_MEMBERS) {
    if (Object.hasOwn(value, name)) throw weak("A key set has public keys only. Replace this key: its private part was given away.");
  }
  const kid = value["kid"];
  if (kid !== undefined && (typeof kid !== "string" || kid.length === 0 || kid.length > KID_LENGTH_MAX)) {
    throw weak(`A \`kid\` is a string of 1 to ${KID_LENGTH_MAX} characters.`);
  }
  return value;
}

function importRsa(jwk: JsonObject): KeyObject {
  const n = toInteger(jwk["n"]);
  const e = toInteger(jwk["e"]);
  const bits = n.toString(2).length;
  if (bits < RSA_BITS_MIN || bits > RSA_BITS_MAX) throw weak(`An RSA key has ${RSA_BITS_MIN} to ${RSA_BITS_MAX} bits.`);
  // e = 1 makes every message its own signature; a small e has a history of forgeries
  if (e < RSA_EXPONENT_MIN || e > RSA_EXPONENT_MAX || e % 2n === 0n) throw weak("An RSA exponent is odd and from 65537 to 2^32.");
  if (n % 2n === 0n || ROCA_PRIMES.some((prime) => n % BigInt(prime) === 0n)) throw weak("An RSA modulus has no small factor.");
  if (isRocaModulus(n)) throw weak("The RSA key was made by a faulty library (ROCA, CVE-2017-15361).");
  return importPublic({ kty: "RSA", n: toText(jwk["n"]), e: toText(jwk["e"]) });
}

function importCurve(jwk: JsonObject): KeyObject {
  const { kty, crv, x, y } = jwk;
  const size = COORDINATE_BYTES[toText(crv)];
  const bytes = toBytes(x);
  if (bytes.length !== size || (kty === "EC" && toBytes(y).length !== size)) throw weak("A coordinate has the length of its curve.");
  if (kty === "OKP" && hasSmallOrder(bytes)) throw weak("An Ed25519 key is a canonical point of large order.");
  const point = { kty: toText(kty), crv: toText(crv), x: toText(x) };
  return importPublic(kty === "EC" ? { ...point, y: toText(y) } : point);
}

/** OpenSSL refuses a point that is not on its curve (invalid-curve attack). */
function importPublic(key: JsonWebKey): KeyObject {
  try {
    return createPublicKey({ key, format: "jwk" });
  } catch (cause) {
    throw weak("The key cannot be read.", cause);
  }
}

/** The primes of the ROCA fingerprint, up to 167: those whose product every affected generator used. */
const ROCA_PRIMES = [
  3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97, 101, 103, 107, 109, 113, 127, 131, 137, 139,
  149, 151, 157, 163, 167,
];
const ROCA_RESIDUES = ROCA_PRIMES.map((prime) => powersOf65537(prime));

/**
 * Infineon's library made primes k*M + (65537^a mod M), M a product of small primes: such a modulus is a power of 65537 modulo each of
 * them. By chance that happens once in 2^27.8 (Nemec et al., "The Return of Coppersmith's Attack", CCS 2017, section 2.3).
 */
function isRocaModulus(n: bigint): boolean {
  return ROCA_PRIMES.every((prime, i) => ROCA_RESIDUES[i]?.has(Number(n % BigInt(prime))));
}

function powersOf65537(prime: number): ReadonlySet<number> {
  const powers = new Set<number>();
  for (let power = 1; !powers.has(power); power = (power * 65_537) % prime) powers.add(power);
  return powers;
}

const ED25519_P = 2n ** 255n - 19n;
/** The y of the points of order 8; its negative is that of the others. */
const ED25519_ORDER_8 = 0x05fc536d880238b13933c6d305acdfd5f098eff289f4c345b027b2c28f95e826n;

/** Under a point of small order one signature verifies for many messages; y of at least p is a second spelling of a point. */
function hasSmallOrder(point: Buffer): boolean {
  const y = BigInt(`0x${Buffer.from(point.toReversed()).toString("hex")}`) & (2n ** 255n - 1n);
  return y <= 1n || y >= ED25519_P - 1n || y === ED25519_ORDER_8 || y === ED25519_P - ED25519_ORDER_8;
}

function toText(value: unknown): string {
  return typeof value === "string" ? value : "";
}

function toInteger(value: unknown): bigint {
  return BigInt(`0x${toBytes(value).toString("hex")}`);
}

function toBytes(value: unknown): Buffer {
  const bytes = typeof value === "string" ? Buffer.from(value, "base64url") : Buffer.alloc(0);
  if (bytes.length === 0 || bytes.toString("base64url") !== value) throw weak("A number of a key is written in base64url without padding.");
  return bytes;
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function weak(detail: string, cause?: unknown): Fault {
  return new Fault("weak_key", detail, { public: { detail }, cause });
}
