import type { TenantContext } from "../kernel/index.ts";
import type { TenantCache } from "../stores/cache/index.ts";
import type { ExchangeEnd, RequestHead } from "../wire/index.ts";
import type { GuardedCall, Guardrails } from "./guardrails/guardrails.ts";

/** A call of a model as the route table hands it over. */
export interface ModelCall {
  readonly context: TenantContext;
  readonly head: RequestHead;
  readonly body: Uint8Array;
  readonly requestId: string;
  /** Aborts when the caller goes away or its tenant is no longer served. */
  readonly signal: AbortSignal;
  /** The tenant's own cache. */
  readonly cache: TenantCache;
  readonly onEnd: (listener: (end: ExchangeEnd) => void) => void;
}

/** Guardrails with the call that they are asked about. */
export interface AnswerGuard {
  readonly guardrails: Guardrails;
  readonly call: GuardedCall;
}
