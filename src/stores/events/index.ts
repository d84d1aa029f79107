export { createPostgresBus, endSubscriptions } from "./adapters/postgres-bus.ts";
export type { EventBus, Subscription } from "./bus.ts";
export type { ContextOpener, ContextOpening, Effect, EventConsumer, Quarantine, WorkerReport } from "./consumer.ts";
export { createEnvelopes, type Envelopes, type OpenedEvent, type QuarantineReason, type Topic } from "./envelope.ts";
export { createEventLifecycle } from "./event-lifecycle.ts";
export { createEventStore, type EventStore, type NewEvent, type TenantEvents } from "./event-store.ts";
export type { EventLag } from "./lag.ts";
export { createWorker, type EventWorker, type WorkerSettings } from "./worker.ts";
