import { createHash, createHmac, timingSafeEqual } from "node:crypto";
import { type Keyring, type PlatformRole, type Random, type Scope, Secret, type TenantId, type TenantRole } from "../../kernel/index.ts";

const ID_ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789";
const SECRET_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
const ID_LENGTH = 12;
/** 32 characters out of 62: 190 bits. */
const SECRET_LENGTH = 32;
/** 8 characters out of 62: 47 bits. It only spares look-ups; what proves the key is its hash. */
const CHECK_LENGTH = 8;

const KEY = /^sk-fh-([a-z0-9]{12})-([A-Za-z0-9]{32})-([A-Za-z0-9]{8})$/;

/** What every key begins with, so that secret scanners and people can tell one. */
export const API_KEY_PREFIX = "sk-fh-";

interface ApiKeyFacts {
  /** The public part: it stands in logs and answers. */
  readonly id: string;
  /** SHA-256 of the whole key text. */
  readonly hash: Buffer;
  readonly scopes: readonly Scope[];
  readonly expiresAtMs: number | null;
  readonly revokedAtMs: number | null;
}

/** A stored key: it belongs to exactly one tenant or to the platform, and the text of the key cannot be had from it. */
export type ApiKeyRecord = ApiKeyFacts &
  (
    | { readonly realm: "tenant"; readonly tenantId: TenantId; readonly roles: readonly TenantRole[] }
    | { readonly realm: "platform"; readonly tenantId: null; readonly roles: readonly PlatformRole[] }
  );

/** A key that was just made. `secret` is the whole text, to be shown once; `hash` is what is stored. */
export interface MintedApiKey {
  readonly id: string;
  readonly secret: Secret;
  readonly hash: Buffer;
}

/** The parts of a presented key whose check was right. */
export interface PresentedApiKey {
  readonly id: string;
  readonly hash: Buffer;
}

/** A new key `sk-fh-<id>-<secret>-<check>` with 190 unpredictable bits. */
export function mintApiKey(ports: { readonly random: Random; readonly keyring: Keyring }): MintedApiKey {
  const id = pick(ports.random, ID_ALPHABET, ID_LENGTH);
  const secret = pick(ports.random, SECRET_ALPHABET, SECRET_LENGTH);
  const text = `${API_KEY_PREFIX}${id}-${secret}-${checkOf(id, secret, ports.keyring)}`;
  return { id, secret: new Secret(text), hash: sha256(text) };
}

/** The id and hash of a key that this installation may have made, undefined for every other text: a forged key costs no look-up. */
export function parseApiKey(text: string, keyring: Keyring): PresentedApiKey | undefined {
  const [, id, secret, check] = KEY.exec(text) ?? [];
  if (id === undefined || secret === undefined || check === undefined) return undefined;
  if (!timingSafeEqual(Buffer.from(checkOf(id, secret, keyring)), Buffer.from(check))) return undefined;
  return { id, hash: sha256(text) };
}

/** Whether the presented key is the recorded one, compared in constant time. */
export function isKeyOf(record: ApiKeyRecord, presented: PresentedApiKey): boolean {
  return record.id === presented.id && record.hash.length === presented.hash.length && timingSafeEqual(record.hash, presented.hash);
}

function pick(random: Random, alphabet: string, length: number): string {
  // bytes from the last, incomplete round of the alphabet are thrown away: taking them modulo would favour its first characters
  const limit = 256 - (256 % alphabet.length);
  let text = "";
  while (text.length < length) {
    for (const byte of random.bytes(length)) {
      if (byte < limit && text.length < length) text += alphabet[byte % alphabet.length];
    }
  }
  return text;
}

function checkOf(id: string, secret: string, keyring: Keyring): string {
  // both parts have a fixed length, so that joining them is unambiguous
  const mac = createHmac("sha256", keyring.key("api-key-check"))
    .update(id + secret)
    .digest();
  return Array.from(mac.subarray(0, CHECK_LENGTH), (byte) => SECRET_ALPHABET[byte % SECRET_ALPHABET.length]).join("");
}

function sha256(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}
