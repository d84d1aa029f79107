import { Fault, type FaultCode } from "../../../kernel/index.ts";
import { unauthenticated } from "../../../tenancy/identity/index.ts";
import type { Answer } from "../../../wire/index.ts";
import { jsonAnswer, type Profile } from "../../proxy/plugin.ts";

const CODES: Readonly<Record<number, FaultCode>> = { 403: "forbidden", 404: "not_found", 413: "body_too_large" };

/**
 * The end of a request that a plugin's rule forbids: in the dialect's words as `{message}`, or, in the strict profile and for a status of the
 * error table, as the house's own fault, which it throws.
 */
export function refuse(profile: Profile, status: number, message: string): Answer {
  if (profile === "strict") {
    if (status === 401) throw unauthenticated(message);
    const code = CODES[status];
    if (code) throw new Fault(code, message, { public: { detail: message } });
  }
  return jsonAnswer(status, { message });
}
