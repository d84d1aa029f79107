import { createCipheriv, createDecipheriv } from "node:crypto";
import { Fault, type Keyring, type Random, Secret } from "../../kernel/index.ts";

const NONCE_BYTES = 12;
const TAG_BYTES = 16;

/** What a sealed text belongs to: it opens nowhere else. */
type Owner = readonly [first: string, second: string];

/** Encrypts a tenant's secret (AES-256-GCM) so that it opens only for this tenant and this name. */
export function sealSecret(keyring: Keyring, random: Random, tenantUuid: string, name: string, value: string): Buffer {
  return seal(keyring.key("tenant-secrets"), random, [tenantUuid, name], value);
}

/** The secret again. Throws `dependency_unavailable` when it was sealed for another tenant, name or root key. */
export function openSecret(keyring: Keyring, tenantUuid: string, name: string, sealed: Buffer): Secret {
  return new Secret(open(keyring.key("tenant-secrets"), [tenantUuid, name], sealed));
}

/** Encrypts a text (AES-256-GCM) so that it opens only with this key and for this owner. */
export function seal(key: Buffer, random: Random, owner: Owner, value: string): Buffer {
  const nonce = random.bytes(NONCE_BYTES);
  const cipher = createCipheriv("aes-256-gcm", key, nonce, { authTagLength: TAG_BYTES });
  cipher.setAAD(additionalData(owner));
  const sealed = Buffer.concat([cipher.update(value, "utf8"), cipher.final()]);
  return Buffer.concat([nonce, sealed, cipher.getAuthTag()]);
}

/** The text again. Throws `dependency_unavailable` when it was sealed for another owner or with another key. */
export function open(key: Buffer, owner: Owner, sealed: Buffer): string {
  try {
    const nonce = sealed.subarray(0, NONCE_BYTES);
    const tag = sealed.subarray(sealed.length - TAG_BYTES);
    const decipher = createDecipheriv("aes-256-gcm", key, nonce, { authTagLength: TAG_BYTES });
    decipher.setAAD(additionalData(owner));
    decipher.setAuthTag(tag);
    return Buffer.concat([decipher.update(sealed.subarray(NONCE_BYTES, sealed.length - TAG_BYTES)), decipher.final()]).toString("utf8");
  } catch (cause) {
    throw new Fault("dependency_unavailable", `what is sealed as ${owner[1]} cannot be opened with this root key`, { cause });
  }
}

function additionalData(owner: Owner): Buffer {
  return Buffer.from(JSON.stringify(owner), "utf8"); // an array: no two pairs give the same bytes
}
