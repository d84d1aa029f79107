import { hkdfSync } from "node:crypto";

/** Bytes that a root key must have. */
export const ROOT_KEY_BYTES = 32;

/** Gives one independent key per purpose, all derived from the installation's root key. */
export interface Keyring {
  /** 32 bytes that are the same in every process with this root key, and tell nothing about any other purpose (RFC 5869). */
  key(purpose: KeyPurpose): Buffer;
}

/** Every use a derived key has. A purpose is never used for a second thing. */
export type KeyPurpose =
  | "database-context"
  | "database-password-app"
  | "database-password-system"
  | "database-password-tenant"
  | "api-key-check"
  | "event-seal"
  | "tenant-secrets"
  | "vault-root"
  | "gateway-objects"
  | "model-providers"
  | "caller-names"
  | "provider-ids"
  | "token-signing"
  | "root-key-check"
  | "revocation-journal";

/** A keyring over a root key of 32 bytes. */
export function createKeyring(rootKey: Uint8Array): Keyring {
  if (rootKey.length !== ROOT_KEY_BYTES) throw new RangeError(`a root key has ${ROOT_KEY_BYTES} bytes, not ${rootKey.length}`);
  const root = Buffer.from(rootKey); // what the caller does with its bytes afterwards changes no key
  const keys = new Map<KeyPurpose, Buffer>();
  return {
    key(purpose) {
      let key = keys.get(purpose);
      if (!key) {
        key = Buffer.from(hkdfSync("sha256", root, "freehold/1", purpose, 32));
        keys.set(purpose, key);
      }
      return Buffer.from(key);
    },
  };
}
