import type { Clock, Random } from "../../../kernel/index.ts";

/** Length and characters of an id of `range_id`. */
export interface RangeSettings {
  readonly length: number;
  readonly char_set: string;
}

/** A version 4 UUID (RFC 9562, 5.4). */
export function createUuidV4(random: Random): string {
  const bytes = Buffer.from(random.bytes(16));
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x40;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  const hex = bytes.toString("hex");
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}

const NANO_CHARACTERS = "-_0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
const NANO_LENGTH = 21;

/** 21 characters of 64, 126 random bits. */
export function createNanoId(random: Random): string {
  let id = "";
  for (const byte of random.bytes(NANO_LENGTH)) id += NANO_CHARACTERS[byte & 63];
  return id;
}

/** Characters of the set, each with the same chance. */
export function createRangeId({ length, char_set: set }: RangeSettings, random: Random): string {
  let id = "";
  // 32 bits leave no character more likely than another by more than one in millions
  const bytes = random.bytes(length * 4);
  for (let i = 0; i < length; i++) id += set[bytes.readUInt32BE(i * 4) % set.length];
  return id;
}

const KSUID_EPOCH_SECONDS = 1_400_000_000;
const KSUID_LENGTH = 27;
const BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/** Seconds since May 2014 and 128 random bits, in 27 characters that sort by time. */
export function createKsuid(clock: Clock, random: Random): string {
  const seconds = Math.floor(clock.now() / 1000) - KSUID_EPOCH_SECONDS;
  let rest = BigInt(`0x${(seconds >>> 0).toString(16).padStart(8, "0")}${random.bytes(16).toString("hex")}`);
  let id = "";
  for (let i = 0; i < KSUID_LENGTH; i++) {
    id = `${BASE62[Number(rest % 62n)]}${id}`;
    rest /= 62n;
  }
  return id;
}
