import type { Fault, TenantContext } from "../../kernel/index.ts";
import type { Queryable } from "../data/index.ts";
import type { Subscription } from "./bus.ts";
import type { OpenedEvent, QuarantineReason } from "./envelope.ts";

/**
 * What an event changes, in one transaction of its tenant: committed exactly once, or not at all. It is run again when the transaction
 * lost a race, so everything it does goes through `tx`.
 */
export type Effect = (tx: Queryable) => Promise<void>;

/** Something that is told of events. */
export interface EventConsumer extends Subscription {
  /**
   * Does the slow part (such as calling a model) outside any transaction, and gives the effect. It may run more than once for one event.
   * When it throws it is tried again later; when the time limit is over `signal` is aborted and what it gives is not used.
   */
  handle(event: OpenedEvent, context: TenantContext, signal: AbortSignal): Promise<Effect>;
}

/** Whether the tenant of an event is served at the moment, and if so its context. */
export type ContextOpening =
  | { readonly ok: true; readonly context: TenantContext }
  /** `suspended` waits until it is served again; `deleted` is dropped; `unknown` is quarantined. */
  | { readonly ok: false; readonly reason: "unknown" | "suspended" | "deleted" };

/** Makes the context of an event's tenant, as the tenant is now. Asked before each attempt. */
export type ContextOpener = (tenantUuid: string, tenantId: string, event: OpenedEvent) => Promise<ContextOpening>;

/** A delivery that was put aside because it cannot be trusted. */
export interface Quarantine {
  readonly reason: QuarantineReason;
  /** The tenant in whose row it was found. */
  readonly tenantUuid: string;
  readonly consumer: string;
  readonly eventId: string;
}

/** Who is told of what no caller can be told of. */
export interface WorkerReport {
  /** Called before the delivery is put aside. When it throws, the delivery stays and is reported again. */
  onQuarantine(quarantine: Quarantine): Promise<void>;
  /** An attempt that failed, or the bus being out of reach. */
  onFault(fault: Fault): void;
}
