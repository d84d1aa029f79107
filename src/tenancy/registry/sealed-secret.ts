import { AEAD_NONCE_BYTES, aeadOpen, aeadSeal, Fault, type Keyring, partsToBytes, type Random, Secret } from "../../kernel/index.ts";

/** What a sealed text belongs to: it opens nowhere else. */
type Owner = readonly [first: string, second: string];

/** A tenant's secret as it was sealed before the vault. Throws `dependency_unavailable` when that was for another tenant, name or root key. */
export function openSecret(keyring: Keyring, tenantUuid: string, name: string, sealed: Buffer): Secret {
  return new Secret(open(keyring.key("tenant-secrets"), [tenantUuid, name], sealed));
}

/** Encrypts a text (AES-256-GCM) so that it opens only with this key and for this owner. */
export function seal(key: Buffer, random: Random, owner: Owner, value: string): Buffer {
  const nonce = random.bytes(AEAD_NONCE_BYTES);
  return Buffer.concat([nonce, aeadSeal({ key, nonce, about: partsToBytes(owner) }, Buffer.from(value, "utf8"))]);
}

/** The text again. Throws `dependency_unavailable` when it was sealed for another owner or with another key. */
export function open(key: Buffer, owner: Owner, sealed: Buffer): string {
  const nonce = sealed.subarray(0, AEAD_NONCE_BYTES);
  const rest = sealed.subarray(AEAD_NONCE_BYTES);
  const text = nonce.length === AEAD_NONCE_BYTES ? aeadOpen({ key, nonce, about: partsToBytes(owner) }, rest) : undefined;
  if (!text) throw new Fault("dependency_unavailable", `what is sealed as ${owner[1]} cannot be opened with this root key`);
  return text.toString("utf8");
}
