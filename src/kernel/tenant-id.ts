declare const brand: unique symbol;

/** A tenant's public name: a slug that was checked byte by byte. Two different strings are never the same TenantId. */
export type TenantId = string & { readonly [brand]: "TenantId" };

/** The longest slug; it is also the longest DNS label, so that every tenant can have a host name (RFC 1035, 2.3.4). */
export const TENANT_ID_LENGTH_MAX = 63;

/** Words that would be mistaken for a part of the platform, a value of JavaScript, JSON or YAML, or a place in the database. */
const RESERVED: ReadonlySet<string> = new Set([
  "admin",
  "administrator",
  "all",
  "anonymous",
  "any",
  "api",
  "app",
  "auth",
  "billing",
  "console",
  "constructor",
  "dashboard",
  "default",
  "docs",
  "events",
  "everyone",
  "false",
  "freehold",
  "gateway",
  "global",
  "health",
  "help",
  "infinity",
  "internal",
  "localhost",
  "login",
  "mail",
  "me",
  "metrics",
  "n",
  "nan",
  "nil",
  "no",
  "none",
  "null",
  "off",
  "on",
  "operator",
  "owner",
  "platform",
  "portal",
  "postgres",
  "prototype",
  "public",
  "root",
  "self",
  "shared",
  "status",
  "support",
  "system",
  "tenant",
  "tenants",
  "test-platform",
  "true",
  "undefined",
  "unknown",
  "well-known",
  "www",
  "y",
  "yes",
]);

const UUID_SHAPE = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

/** YAML 1.1 reads it as a date. */
const DATE_SHAPE = /^[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}$/;

/**
 * The value as a TenantId, or undefined when it is not one.
 * Accepts 1 to 63 bytes of a-z, 0-9 and single inner hyphens. Refused: reserved words, and anything in the shape of a UUID, so that a
 * name never stands for another tenant's internal id, and anything that reads as a number or a date. Nothing is trimmed, folded or normalised: what is not exact is not valid.
 */
export function parseTenantId(value: unknown): TenantId | undefined {
  if (typeof value !== "string" || value.length === 0 || value.length > TENANT_ID_LENGTH_MAX) return undefined;
  let afterHyphen = true; // a hyphen may neither lead nor follow another
  for (let i = 0; i < value.length; i++) {
    const c = value.charCodeAt(i);
    const alphanumeric = (c >= 0x61 && c <= 0x7a) || (c >= 0x30 && c <= 0x39);
    if (!alphanumeric && (c !== 0x2d || afterHyphen)) return undefined;
    afterHyphen = !alphanumeric;
  }
  if (afterHyphen || RESERVED.has(value) || UUID_SHAPE.test(value) || DATE_SHAPE.test(value)) return undefined;
  if (!Number.isNaN(Number(value))) return undefined; // 1e3 and 1000 would be one number to YAML and others, 1e999 and 2e999 too
  return value as TenantId; // checked byte by byte above
}
