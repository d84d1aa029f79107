import { generateKeyPairSync, type KeyObject, sign } from "node:crypto";

export type Jwk = Record<string, unknown>;

/** A key pair of an issuer, able to sign any text: also what no library would. */
export interface IssuerKey {
  readonly alg: string;
  readonly kid: string;
  readonly publicKey: KeyObject;
  readonly privateKey: KeyObject;
  /** The member of the published set. */
  readonly jwk: Jwk;
  /** A token of exactly this header and payload. */
  sign(payload: unknown, header?: unknown): string;
}

const PAIRS = {
  ES256: () => generateKeyPairSync("ec", { namedCurve: "P-256" }),
  RS256: () => generateKeyPairSync("rsa", { modulusLength: 2048 }),
  EdDSA: () => generateKeyPairSync("ed25519"),
} as const;

export function createIssuerKey(alg: keyof typeof PAIRS, kid: string): IssuerKey {
  const { publicKey, privateKey } = PAIRS[alg]();
  return {
    alg,
    kid,
    publicKey,
    privateKey,
    jwk: { ...publicKey.export({ format: "jwk" }), kid, alg, use: "sig" },
    sign: (payload, header = { alg, kid }) => {
      const input = `${part(header)}.${part(payload)}`;
      const digest = alg === "EdDSA" ? null : "sha256";
      const signature = sign(digest, Buffer.from(input), { key: privateKey, dsaEncoding: "ieee-p1363" });
      return `${input}.${signature.toString("base64url")}`;
    },
  };
}

/** Strings are taken as the JSON text they are. */
export function part(value: unknown): string {
  return Buffer.from(typeof value === "string" ? value : JSON.stringify(value)).toString("base64url");
}
