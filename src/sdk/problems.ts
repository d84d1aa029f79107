import { Fault, FAULTS, type FaultCode, type Tenant, toFault } from "../kernel/index.ts";
import { type ProblemAnswer, toProblem } from "../wire/index.ts";

/** Of whom and in which language an answer speaks. */
export interface ProblemCall {
  readonly requestId: string;
  readonly tenant?: Tenant | undefined;
  readonly acceptLanguage?: string | undefined;
}

/** What proved answers are to caches, unless a handler says otherwise: one tenant's answer is never kept for another (RFC 9111, 3.5). */
export const PRIVATE_FIELDS = { "cache-control": "private, no-store", vary: "Authorization, X-Tenant-ID, X-Tenant-Context" } as const;

/** The codes for refusals of the frameworks themselves: of bodies that are too large or no JSON, of paths that are not there. */
const CODES: ReadonlyMap<number, FaultCode> = new Map([
  [400, "malformed_request"],
  [401, "unauthenticated"],
  [403, "forbidden"],
  [404, "not_found"],
  [405, "method_not_allowed"],
  [409, "conflict"],
  [413, "body_too_large"],
  [415, "unsupported_media_type"],
  [429, "rate_limited"],
]);

/** Whatever a handler or a framework threw as a Fault of the one table. What is not understood is `internal`, and says nothing of itself. */
export function toServiceFault(error: unknown): Fault {
  if (error instanceof Fault || typeof error !== "object" || error === null) return toFault(error);
  const { status, statusCode = status } = error as { status?: unknown; statusCode?: unknown }; // as Express, Fastify and Hono say it
  if (typeof statusCode !== "number" || statusCode < 400 || statusCode >= 500) return toFault(error);
  const message = error instanceof Error ? error.message : `a refusal with status ${statusCode}`;
  return new Fault(CODES.get(statusCode) ?? "malformed_request", message, { cause: error });
}

/** The problem document of a fault (RFC 9457), with `Retry-After` where trying again can help. */
export function toAnswer(fault: Fault, { requestId, tenant, acceptLanguage }: ProblemCall): ProblemAnswer {
  const { status, headers, body } = toProblem(fault, requestId, tenant, acceptLanguage);
  return { status, headers: { ...PRIVATE_FIELDS, "x-request-id": requestId, ...headers }, body };
}

/** Whether an operator has to look at it: callers get no more than the title. */
export function isOurs(fault: Fault): boolean {
  return FAULTS[fault.code].status >= 500;
}
