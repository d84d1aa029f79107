import { createHash } from "node:crypto";
import type { Clock, Random } from "./clock.ts";

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

/** Whether the string is a UUID in its one canonical (lower-case, hyphenated) form. */
export function isUuid(value: string): boolean {
  return UUID.test(value);
}

/** A version 7 UUID: ordered by creation time, 74 random bits (RFC 9562, 5.7). */
export function uuidV7(clock: Clock, random: Random): string {
  const bytes = random.bytes(16);
  bytes.writeUIntBE(clock.now(), 0, 6);
  return toUuid(bytes, 0x70);
}

/**
 * A version 5 UUID of the parts inside the namespace (RFC 9562, 5.5).
 * Each part is preceded by its length, so that ("a","bc") and ("ab","c") never give the same id.
 */
export function uuidV5(namespace: string, parts: readonly string[]): string {
  const hash = createHash("sha1").update(Buffer.from(namespace.replaceAll("-", ""), "hex"));
  for (const part of parts) {
    const bytes = Buffer.from(part, "utf8");
    const length = Buffer.alloc(4);
    length.writeUInt32BE(bytes.length);
    hash.update(length).update(bytes);
  }
  return toUuid(hash.digest().subarray(0, 16), 0x50);
}

function toUuid(bytes: Buffer, version: number): string {
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | version;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  const hex = bytes.toString("hex");
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20, 32)}`;
}
