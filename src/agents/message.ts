import type { Json, Platform, TenantId } from "../kernel/index.ts";

/** One earlier turn of the same session. */
export interface HistoryTurn {
  readonly role: "user" | "assistant";
  readonly text: string;
}

/** One message of one user of one tenant, the same whatever channel it came by. */
export interface NormalizedMessage {
  readonly id: string;
  readonly text: string;
  readonly userId: string;
  readonly sessionId: string;
  readonly tenantId: TenantId;
  readonly platform: Platform;
  /** What the channel or the caller added. Never credentials: a webhook agent receives it. */
  readonly metadata: Readonly<Record<string, Json>>;
  /** Earlier turns, the oldest first, without this message. */
  readonly history: readonly HistoryTurn[];
  /** ISO 8601, UTC. */
  readonly at: string;
}

/** A place in the tenant's own documents that an answer rests on. */
export interface Citation {
  readonly documentId: string;
  readonly title: string;
  readonly text: string;
  readonly score: number;
}

/** Tokens as the model counted them. */
export interface Usage {
  readonly inputTokens: number;
  readonly outputTokens: number;
}

/** The whole of one answer. */
export interface AgentAnswer {
  readonly text: string;
  readonly citations: readonly Citation[];
  /** Absent when the agent did not say. */
  readonly usage?: Usage;
}

/** A part of an answer as it comes. The texts joined are the text of `done`, which is always last: without it the answer is not whole. */
export type AgentEvent =
  | { readonly type: "text"; readonly text: string }
  | { readonly type: "citation"; readonly citation: Citation }
  | ({ readonly type: "done" } & AgentAnswer);
