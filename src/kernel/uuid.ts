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

/** A random part this small leaves the first steps of a millisecond room to count. */
const COUNTER_START_MASK = 0x7ff;
const COUNTER_MAX = 0xfff;

/**
 * Makes version 7 UUIDs of which each is greater than the one before, also within a millisecond and when the clock is set back: 12 bits
 * after the time count up from a random start (RFC 9562, 6.2, method 1), 62 bits are random.
 */
export function createUuidSequence(clock: Clock, random: Random): () => string {
  let lastMs = -1;
  let counter = 0;
  return () => {
    const bytes = random.bytes(16);
    const now = clock.now();
    if (now > lastMs || counter === COUNTER_MAX) {
      lastMs = Math.max(now, lastMs + 1);
      counter = bytes.readUInt16BE(6) & COUNTER_START_MASK;
    } else {
      counter++;
    }
    bytes.writeUIntBE(lastMs, 0, 6);
    bytes.writeUInt16BE(counter, 6);
    return toUuid(bytes, 0x70);
  };
}

/**
 * A version 5 UUID of the parts inside the namespace (RFC 9562, 5.5).
 * Each part is preceded by its length, so that ("a","bc") and ("ab","c") never give the same id.
 * Throws RangeError for a part with a lone surrogate: as UTF-8 it would be the same as another text.
 */
export function uuidV5(namespace: string, parts: readonly string[]): string {
  const hash = createHash("sha1").update(Buffer.from(namespace.replaceAll("-", ""), "hex"));
  for (const part of parts) {
    if (!part.isWellFormed()) throw new RangeError("a part of an id is not well-formed Unicode");
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
