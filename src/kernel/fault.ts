/**
 * The error table: every code a user can meet, its HTTP status, its public title and whether sending the same request again can help.
 * The documentation and every answer are made from it; a code that is not here cannot be thrown.
 */
export const FAULTS = {
  malformed_request: { status: 400, title: "The request is not well formed.", retry: false },
  invalid_tenant_id: { status: 400, title: "The tenant id is not valid.", retry: false },
  ambiguous_credentials: { status: 400, title: "Send exactly one credential.", retry: false },
  invalid_json: { status: 400, title: "The body is not valid JSON for this call.", retry: false },
  unknown_field: { status: 400, title: "The body has a field that this call does not know.", retry: false },
  unauthenticated: { status: 401, title: "A valid credential is required.", retry: false },
  tenant_mismatch: { status: 403, title: "The credential belongs to another tenant than the request names.", retry: false },
  forbidden: { status: 403, title: "This credential may not do that.", retry: false },
  tenant_suspended: { status: 403, title: "The tenant is suspended.", retry: false },
  egress_denied: { status: 403, title: "This address may not be called.", retry: false },
  not_found: { status: 404, title: "There is nothing here.", retry: false },
  method_not_allowed: { status: 405, title: "This address does not take that method.", retry: false },
  conflict: { status: 409, title: "It exists already, or has changed since.", retry: false },
  in_progress: { status: 409, title: "The same request is still being worked on.", retry: true },
  body_too_large: { status: 413, title: "The body is larger than allowed.", retry: false },
  body_too_deep: { status: 413, title: "The body is nested deeper than allowed.", retry: false },
  unsupported_media_type: { status: 415, title: "This call does not take a body of that type.", retry: false },
  range_not_satisfiable: { status: 416, title: "The range is none of the file.", retry: false },
  idempotency_mismatch: { status: 422, title: "This idempotency key was used with another request.", retry: false },
  invalid_settings: { status: 422, title: "A setting is not valid.", retry: false },
  invalid_archive: { status: 422, title: "The archive cannot be taken: it is damaged, or not what it says.", retry: false },
  content_refused: { status: 422, title: "The content is not allowed here.", retry: false },
  weak_key: { status: 422, title: "A key is too weak to be trusted.", retry: false },
  rate_limited: { status: 429, title: "Too many requests. Slow down.", retry: true },
  insufficient_quota: { status: 429, title: "The quota is used up.", retry: false },
  concurrency_exceeded: { status: 429, title: "Too many requests at the same time.", retry: true },
  internal: { status: 500, title: "Something went wrong on our side.", retry: true },
  upstream_invalid: { status: 502, title: "The agent or upstream gave an answer that cannot be used.", retry: true },
  upstream_unreachable: { status: 502, title: "The agent or upstream cannot be reached.", retry: true },
  circuit_open: { status: 503, title: "The agent or upstream has failed repeatedly and is being given a rest.", retry: true },
  overloaded: { status: 503, title: "Too much work at the moment.", retry: true },
  dependency_unavailable: { status: 503, title: "A part that this call needs is not available.", retry: true },
  tenant_moving: { status: 503, title: "The tenant is being moved.", retry: true },
  tenant_not_ready: { status: 503, title: "The tenant is still being set up.", retry: true },
  upstream_timeout: { status: 504, title: "The agent or upstream did not answer in time.", retry: true },
  storage_full: { status: 507, title: "There is no storage left.", retry: false },
  store_locked: { status: 503, title: "Another process is using this data folder.", retry: false },
  isolation_violation: { status: 500, title: "Freehold stopped because tenant isolation could not be proved.", retry: false },
} as const satisfies Record<string, { status: number; title: string; retry: boolean }>;

export type FaultCode = keyof typeof FAULTS;

/** What may be shown to the caller besides the title of the code. Never put another tenant's data, SQL or a stack in here. */
export interface FaultPublic {
  /** One sentence: what happened and what to do. */
  readonly detail?: string;
  /** The JSON pointer or parameter name at fault. */
  readonly field?: string;
  /** The name of the limit that refused (429). */
  readonly policy?: string;
  /** When a retry is worth it, in milliseconds. */
  readonly retryAfterMs?: number;
  /** Header fields that belong to the answer, for example RateLimit. */
  readonly headers?: Readonly<Record<string, string>>;
}

/**
 * The one error class of Freehold. `message` is for logs; only the code's title and `public` reach the caller.
 * It is thrown where the work cannot go on and turned into an answer once, at the edge.
 */
export class Fault extends Error {
  override readonly name = "Fault";
  readonly code: FaultCode;
  readonly public: FaultPublic;

  constructor(code: FaultCode, message: string, options: { public?: FaultPublic; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.public = options.public ?? {};
  }

  get status(): number {
    return FAULTS[this.code].status;
  }
}

/** Any thrown value as a Fault: a Fault as it is, everything else as `internal` with the original as its cause. */
export function toFault(error: unknown): Fault {
  if (error instanceof Fault) return error;
  const message = error instanceof Error ? error.message : String(error);
  return new Fault("internal", message, { cause: error });
}
