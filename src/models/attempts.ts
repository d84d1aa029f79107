import type { TokenUsage } from "./meter/usage.ts";
import type { Owner } from "./settings/catalogue.ts";
import type { ModelProtocol } from "./settings/schema.ts";

/**
 * How a try at a provider ended: `ok` with a whole answer, `refused` with the provider's error, `failed` without an answer, `broken` by the provider in the
 * middle, `cut` here at the end of a budget or of its time, `aborted` by the caller. `cached`: no provider was asked.
 */
export type Outcome = "ok" | "refused" | "failed" | "broken" | "cut" | "aborted" | "cached";

/** One try at a provider: a line of the ledger. */
export interface Attempt {
  readonly tenant: string;
  readonly requestId: string;
  /** From 1 on, inside its request. */
  readonly attempt: number;
  /** Milliseconds since 1970. */
  readonly at: number;
  readonly principal: string;
  /** As the caller named it, and the model that it led to. */
  readonly model: string;
  readonly target: string;
  readonly provider: string;
  readonly owner: Owner;
  readonly protocol: ModelProtocol;
  readonly outcome: Outcome;
  /** Of the provider's answer; 0 without one. */
  readonly status: number;
  /** Whether the provider said what was used, or it was counted here. */
  readonly source: "reported" | "counted" | "none";
  readonly usage: TokenUsage;
  /** In billionths of the currency's unit; undefined where the model has no price. */
  readonly cost: number | undefined;
  readonly firstByteMs: number;
  readonly totalMs: number;
}
