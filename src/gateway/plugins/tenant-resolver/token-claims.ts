import { parseJson } from "../../../kernel/index.ts";
import type { Call } from "../../proxy/plugin.ts";
import { type Claims, verifiedClaims } from "../shared/verified-claims.ts";

const BEARER = /^bearer +[A-Za-z0-9_-]+\.([A-Za-z0-9_-]+)\./i;
const JSON_BOUNDS = { bytesMax: 16 * 1024, depthMax: 16 };

/** The claims of the token that proved the call's tenant; undefined when something else did. */
export function tokenClaims(call: Call): Claims | undefined {
  const known = verifiedClaims(call);
  if (known || call.consumer || call.context?.provedBy !== "jwt") return known;
  // identity has verified this very field, and keeps no more of it than it needs
  const payload = BEARER.exec(call.head.headers.one("authorization") ?? "")?.[1];
  if (payload === undefined) return undefined;
  const claims = parseJson(Buffer.from(payload, "base64url"), JSON_BOUNDS);
  return typeof claims === "object" && claims !== null && !Array.isArray(claims) ? claims : undefined;
}
