import { createCipheriv, createDecipheriv, type KeyObject } from "node:crypto";

/** Bytes of a nonce. Other lengths are hashed by GCM into nonces that can meet, and are not taken. */
export const AEAD_NONCE_BYTES = 12;
/** Bytes of a tag. A shorter one can be guessed (Node takes 4 bytes unless told otherwise). */
export const AEAD_TAG_BYTES = 16;

/** What is sealed or opened besides the bytes themselves. `about` opens nothing and is not hidden: it must be the same at both ends. */
export interface AeadParts {
  /** 32 bytes. */
  readonly key: KeyObject | Uint8Array;
  /** 12 bytes, never twice with one key. */
  readonly nonce: Uint8Array;
  readonly about: Uint8Array;
}

/** AES-256-GCM (NIST SP 800-38D): the bytes encrypted, then the whole tag. Throws `RangeError` for a key or nonce of another length. */
export function aeadSeal({ key, nonce, about }: AeadParts, plain: Uint8Array): Buffer {
  assertNonce(nonce);
  const cipher = createCipheriv("aes-256-gcm", key, nonce, { authTagLength: AEAD_TAG_BYTES });
  cipher.setAAD(about);
  return Buffer.concat([cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
}

/** The bytes again, or undefined when a bit of them, of `about`, the nonce or the key is another. Nothing is given out unchecked. */
export function aeadOpen({ key, nonce, about }: AeadParts, sealed: Uint8Array): Buffer | undefined {
  assertNonce(nonce);
  if (sealed.length < AEAD_TAG_BYTES) return undefined;
  const end = sealed.length - AEAD_TAG_BYTES;
  const decipher = createDecipheriv("aes-256-gcm", key, nonce, { authTagLength: AEAD_TAG_BYTES });
  decipher.setAAD(about);
  decipher.setAuthTag(sealed.subarray(end));
  const plain = decipher.update(sealed.subarray(0, end));
  try {
    return Buffer.concat([plain, decipher.final()]);
  } catch {
    return undefined; // the one thing that final() says: the tag is another
  }
}

/** A list of texts as bytes that no other list gives: what a seal is about, or what a key is the digest of. */
export function partsToBytes(parts: readonly string[]): Buffer {
  // JSON quotes and escapes each part, also half a surrogate pair, which UTF-8 could not tell from another half
  return Buffer.from(JSON.stringify(parts), "utf8");
}

function assertNonce(nonce: Uint8Array): void {
  if (nonce.length !== AEAD_NONCE_BYTES) throw new RangeError(`a nonce has ${AEAD_NONCE_BYTES} bytes, not ${nonce.length}`);
}
