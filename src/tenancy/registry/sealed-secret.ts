import { createCipheriv, createDecipheriv } from "node:crypto";
import { Fault, type Keyring, type Random, Secret } from "../../kernel/index.ts";

const NONCE_BYTES = 12;
const TAG_BYTES = 16;

/** Encrypts a tenant's secret (AES-256-GCM) so that it opens only for this tenant and this name. */
export function sealSecret(keyring: Keyring, random: Random, tenantUuid: string, name: string, value: string): Buffer {
  const nonce = random.bytes(NONCE_BYTES);
  const cipher = createCipheriv("aes-256-gcm", keyring.key("tenant-secrets"), nonce, { authTagLength: TAG_BYTES });
  cipher.setAAD(additionalData(tenantUuid, name));
  const sealed = Buffer.concat([cipher.update(value, "utf8"), cipher.final()]);
  return Buffer.concat([nonce, sealed, cipher.getAuthTag()]);
}

/** The secret again. Throws `dependency_unavailable` when it was sealed for another tenant, name or root key. */
export function openSecret(keyring: Keyring, tenantUuid: string, name: string, sealed: Buffer): Secret {
  try {
    const nonce = sealed.subarray(0, NONCE_BYTES);
    const tag = sealed.subarray(sealed.length - TAG_BYTES);
    const decipher = createDecipheriv("aes-256-gcm", keyring.key("tenant-secrets"), nonce, { authTagLength: TAG_BYTES });
    decipher.setAAD(additionalData(tenantUuid, name));
    decipher.setAuthTag(tag);
    const text = Buffer.concat([decipher.update(sealed.subarray(NONCE_BYTES, sealed.length - TAG_BYTES)), decipher.final()]);
    return new Secret(text.toString("utf8"));
  } catch (cause) {
    throw new Fault("dependency_unavailable", `the secret ${name} cannot be opened with this root key`, { cause });
  }
}

function additionalData(tenantUuid: string, name: string): Buffer {
  return Buffer.from(JSON.stringify([tenantUuid, name]), "utf8"); // an array: no two pairs give the same bytes
}
