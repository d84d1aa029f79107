import type { JsonSchema } from "../../proxy/plugin.ts";

/** What a realm may be: it stands between quotes in a header field. */
export function realmSchema(realm: string): JsonSchema {
  return { type: "string", pattern: "^[\\x20-\\x21\\x23-\\x5B\\x5D-\\x7E]+$", default: realm, minLength: 1, maxLength: 128 };
}

/** The name of the consumer of whoever has no valid credential. */
export const ANONYMOUS_CONSUMER: JsonSchema = { type: "string", minLength: 1 };
