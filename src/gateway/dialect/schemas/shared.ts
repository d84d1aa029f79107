import type { JsonSchema } from "../../proxy/plugin.ts";

const IPV4 = Array.from({ length: 4 }, () => "([0-9]|[1-9][0-9]|1[0-9]{2}|2[0-4][0-9]|25[0-5])").join("\\.");
const IPV6 = "([a-fA-F0-9]{0,4}:){1,8}(:[a-fA-F0-9]{0,4}){0,8}([a-fA-F0-9]{0,4})?";

/** The id of an object: text without separators, or a number from 1. */
export const ID: JsonSchema = {
  anyOf: [
    { type: "string", minLength: 1, maxLength: 64, pattern: "^[a-zA-Z0-9-_.]+$" },
    { type: "integer", minimum: 1 },
  ],
};

/** A host, which may begin with `*` or be nothing else. */
export const HOST: JsonSchema = { type: "string", pattern: "^\\*$|^\\*?[0-9a-zA-Z-._\\[\\]:]+$" };

/** An address or a range of addresses. */
export const ADDRESS: JsonSchema = {
  type: "string",
  anyOf: [
    { type: "string", format: "ipv4" },
    { type: "string", pattern: `^${IPV4}/([12]?[0-9]|3[0-2])$` },
    { type: "string", format: "ipv6" },
    { type: "string", pattern: `^${IPV6}/[0-9]{1,3}$` },
  ],
};

/** Seconds; all three are needed. */
export const TIMEOUT: JsonSchema = {
  type: "object",
  properties: Object.fromEntries(["connect", "send", "read"].map((name) => [name, { type: "number", exclusiveMinimum: 0 }])),
  required: ["connect", "send", "read"],
};

/** Plugins by name; each is checked by its own schema. */
export const PLUGIN_SET: JsonSchema = { type: "object" };

const TIMES: Readonly<Record<string, JsonSchema>> = {
  create_time: { type: "integer" },
  update_time: { type: "integer" },
  /** Of APISIX's own PUT of whole documents. */
  modifiedIndex: { type: "integer" },
};

/** Methods of HTTP that a route or a health check may name. */
export const METHODS = ["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "CONNECT", "TRACE", "PURGE"] as const;

/** What an object without a text of its own may carry besides its own fields. */
export const IDENTITY: Readonly<Record<string, JsonSchema>> = { id: ID, ...TIMES };

/** What most kinds of object may carry besides their own fields. */
export const METADATA: Readonly<Record<string, JsonSchema>> = {
  ...IDENTITY,
  name: { type: "string", minLength: 1, maxLength: 256 },
  desc: { type: "string", maxLength: 256 },
  labels: {
    type: "object",
    patternProperties: { ".*": { type: "string", pattern: "^\\S+$", minLength: 1, maxLength: 256 } },
  },
};

/** The same without a name. */
export const UNNAMED: Readonly<Record<string, JsonSchema>> = Object.fromEntries(Object.entries(METADATA).filter(([key]) => key !== "name"));

/** The key of a certificate, which may be a short one of an elliptic curve. */
export const PRIVATE_KEY: JsonSchema = { type: "string", minLength: 64, maxLength: 64 * 1024 };

/** A list of different texts that each fit `items`. */
export function listOf(items: JsonSchema, minItems = 1): JsonSchema {
  return { type: "array", items, minItems, uniqueItems: true };
}
