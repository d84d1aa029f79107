import { createHmac } from "node:crypto";
import { AEAD_NONCE_BYTES, AEAD_TAG_BYTES, aeadOpen, aeadSeal, partsToBytes, type Random } from "../../kernel/index.ts";
import type { DataKey, SealPlace } from "./port.ts";

/** The form below. It stands in front, so that another form can be told apart. */
const FORM = 1;
const VERSION_BYTES = 4;
const SALT_BYTES = 16;
const HEAD_BYTES = 1 + VERSION_BYTES + SALT_BYTES + AEAD_NONCE_BYTES;

/** Bytes that a sealed value has more than the value. */
export const SEALED_OVERHEAD_BYTES = HEAD_BYTES + AEAD_TAG_BYTES;

/**
 * `form(1) version(4) salt(16) nonce(12) encrypted tag(16)`. Each value has a key of its own, HMAC-SHA256(data key, salt): with 28 random
 * bytes in all, values can be sealed without counting them, also by a database that was restored. The tag covers tenant, purpose, table,
 * column, row and the version of the key, as a list that no other list equals.
 */
export function sealEnvelope(dataKey: DataKey, random: Random, tenant: string, place: SealPlace, value: Uint8Array): Buffer {
  const head = Buffer.alloc(HEAD_BYTES);
  head.writeUInt8(FORM, 0);
  head.writeUInt32BE(dataKey.version, 1);
  head.set(random.bytes(SALT_BYTES + AEAD_NONCE_BYTES), 1 + VERSION_BYTES);
  return Buffer.concat([head, aeadSeal(partsOf(dataKey, head, tenant, place), value)]);
}

/** The value, or undefined when it was sealed for another tenant or place or with another key, or is damaged. */
export function openEnvelope(dataKey: DataKey, tenant: string, place: SealPlace, sealed: Uint8Array): Buffer | undefined {
  return aeadOpen(partsOf(dataKey, sealed, tenant, place), sealed.subarray(HEAD_BYTES));
}

/** The version of the key that the value says it was sealed with, or undefined when it is no sealed value. */
export function sealedVersion(sealed: Uint8Array): number | undefined {
  if (sealed.length < SEALED_OVERHEAD_BYTES || sealed[0] !== FORM) return undefined;
  const version = Buffer.from(sealed.buffer, sealed.byteOffset, sealed.byteLength).readUInt32BE(1);
  return version > 0 && version <= 0x7fff_ffff ? version : undefined;
}

function partsOf(dataKey: DataKey, head: Uint8Array, tenant: string, { purpose, table, column, row }: SealPlace) {
  const salt = head.subarray(1 + VERSION_BYTES, 1 + VERSION_BYTES + SALT_BYTES);
  const key = createHmac("sha256", dataKey.key).update("freehold/vault/1").update(salt).digest();
  const about = partsToBytes(["freehold/vault/1", tenant, purpose, table, column, String(dataKey.version), ...row]);
  return { key, nonce: head.subarray(HEAD_BYTES - AEAD_NONCE_BYTES, HEAD_BYTES), about };
}
