import { Fault } from "../../../kernel/index.ts";
import type { Answer } from "../../../wire/index.ts";
import { type Call, jsonAnswer } from "../../proxy/plugin.ts";

/** A limit that says no. */
export interface Refusal {
  readonly code: "rate_limited" | "concurrency_exceeded";
  /** The name of the limit, for the caller. */
  readonly policy: string;
  readonly retryAfterMs: number;
}

const TOO_MANY = 429;
const UNAVAILABLE = 503;

/** The end of a call over a limit: in strict a fault with when to come back, unless the settings want another status. */
export function refuseOverLimit(
  call: Call,
  settings: { readonly rejected_code?: number; readonly rejected_msg?: string },
  { code, policy, retryAfterMs }: Refusal,
): Answer {
  const { rejected_code: status = call.profile === "strict" ? TOO_MANY : UNAVAILABLE, rejected_msg: text } = settings;
  if (call.profile === "apisix") {
    return text === undefined ? { status, headers: {}, body: undefined } : jsonAnswer(status, { error_msg: text });
  }
  if (status === TOO_MANY) {
    throw new Fault(code, `over the limit ${policy}`, { public: { policy, retryAfterMs, ...(text !== undefined && { detail: text }) } });
  }
  return jsonAnswer(
    status,
    { error_msg: text ?? "Too many requests." },
    { "retry-after": String(Math.max(1, Math.ceil(retryAfterMs / 1000))) },
  );
}
