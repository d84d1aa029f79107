import { type Fault, FAULTS } from "../../kernel/index.ts";
import type { Answer } from "../../wire/index.ts";

/** What a refusal says besides its message, in either shape. Clients keep members that they do not know. */
interface ErrorMembers {
  readonly code: string;
  readonly policy?: string;
  readonly requestId: string;
}

/** `{error: {message, type, param, code}}`, as OpenAI's clients read it. */
export function openaiRefusal(fault: Fault, requestId: string): Answer {
  const { message, extra } = partsOf(fault, requestId);
  const error = { message, type: openaiType(fault), param: fault.public.field ?? null, ...extra };
  return { status: fault.status, headers: fieldsOf(fault), body: JSON.stringify({ error }) };
}

/** `{type: "error", error: {type, message}}`, as Anthropic's clients read it. */
export function anthropicRefusal(fault: Fault, requestId: string): Answer {
  const { message, extra } = partsOf(fault, requestId);
  const error = { type: anthropicType(fault), message, ...extra };
  return { status: fault.status, headers: fieldsOf(fault), body: JSON.stringify({ type: "error", error, request_id: requestId }) };
}

/** The type of a fault in OpenAI's words. */
export function openaiType({ code, status }: Pick<Fault, "code" | "status">): string {
  if (code === "insufficient_quota") return "insufficient_quota";
  if (status === 401) return "authentication_error";
  if (status === 403) return "permission_error";
  if (status === 429) return "rate_limit_error";
  return status >= 500 ? "server_error" : "invalid_request_error";
}

/** The type of a fault in Anthropic's words. */
export function anthropicType({ status }: Pick<Fault, "status">): string {
  if (status === 401) return "authentication_error";
  if (status === 403) return "permission_error";
  if (status === 404) return "not_found_error";
  if (status === 413) return "request_too_large";
  if (status === 429) return "rate_limit_error";
  if (status === 503) return "overloaded_error";
  return status >= 500 ? "api_error" : "invalid_request_error";
}

/** What a caller is told happened. */
export function messageOf({ code, public: { detail } }: Fault): string {
  return detail ?? FAULTS[code].title;
}

function partsOf(fault: Fault, requestId: string): { readonly message: string; readonly extra: ErrorMembers } {
  const { policy } = fault.public;
  return { message: messageOf(fault), extra: { code: fault.code, ...(policy !== undefined && { policy }), requestId } };
}

/** Clients sleep as long as they are told, so they are told only where waiting helps. */
function fieldsOf({ code, public: { retryAfterMs, headers } }: Fault): Record<string, string> {
  const { retry } = FAULTS[code];
  return {
    "content-type": "application/json",
    ...(retry &&
      retryAfterMs !== undefined && {
        "retry-after": String(Math.ceil(retryAfterMs / 1000)),
        "retry-after-ms": String(Math.ceil(retryAfterMs)),
      }),
    ...(!retry && { "x-should-retry": "false" }),
    ...headers,
  };
}
