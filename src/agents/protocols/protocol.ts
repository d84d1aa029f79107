import type { TenantContext } from "../../kernel/index.ts";
import type { Citation, NormalizedMessage, Usage } from "../message.ts";

/** One question to one tenant's agent. */
export interface Invocation {
  readonly context: TenantContext;
  readonly message: NormalizedMessage;
  /** Whether the caller can use the answer in parts. */
  readonly stream: boolean;
}

/** What a protocol reads out of an agent's answer. The end of the pieces means that the agent said that it is done. */
export type AnswerPiece =
  | { readonly type: "text"; readonly text: string }
  | { readonly type: "citation"; readonly citation: Citation }
  | { readonly type: "usage"; readonly usage: Usage };

/** An answer that has not begun. */
export interface Plan {
  /** Whose failures the breaker counts; undefined when nobody outside is called. */
  readonly origin: string | undefined;
  /** Begins the answer. The signal aborts when it is no longer wanted, and always in the end. */
  run(signal: AbortSignal): AsyncIterable<AnswerPiece>;
}

/** A way to talk to an agent. */
export interface Protocol {
  /** Checks the tenant's settings and calls nobody. Throws `invalid_settings` or `egress_denied`. */
  plan(invocation: Invocation): Plan;
}
