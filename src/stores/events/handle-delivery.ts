import { Fault, type FaultCode, type Random, type TenantContext, toFault } from "../../kernel/index.ts";
import type { DataStore } from "../data/index.ts";
import { backoffMs } from "./backoff.ts";
import type { Delivery, DeliveryOutcome } from "./bus.ts";
import type { ContextOpener, EventConsumer, WorkerReport } from "./consumer.ts";
import type { Envelopes, OpenedEvent, QuarantineReason } from "./envelope.ts";
import { enterInbox } from "./inbox.ts";

/** How often an event is tried before it is put aside. */
const ATTEMPTS_MAX = 8;
/** How long the events of a suspended tenant rest before it is asked again whether it is served. */
const PARK_MS = 60_000;

/** What handling needs. */
export interface HandlingPorts {
  readonly data: DataStore;
  readonly envelopes: Envelopes;
  readonly openContext: ContextOpener;
  readonly random: Random;
  readonly report: WorkerReport;
  /** Time limit of one `handle`. */
  readonly handlerTimeoutMs: number;
}

const DONE: DeliveryOutcome = { kind: "done" };

/**
 * One attempt at one delivery, and how it ended. The effect has happened when it ends as `done`, by this attempt or an earlier one,
 * unless the tenant is deleted. Throws only when the report of a quarantine failed: then the delivery must not be settled.
 */
export async function handleDelivery(ports: HandlingPorts, consumer: EventConsumer, delivery: Delivery): Promise<DeliveryOutcome> {
  const { tenantUuid, eventId, key } = delivery;
  // attempts are counted when they begin: an event that ends the process every time is put aside too
  if (delivery.attempts > ATTEMPTS_MAX) return { kind: "dead", reason: delivery.lastError ?? "lease_expired" };
  const opening = ports.envelopes.open(delivery.envelope, { tenantUuid, eventId, key });
  if (!opening.ok) return await quarantine(ports, delivery, opening.reason);
  const { event } = opening;
  if (!consumer.topics.includes(event.topic)) return await quarantine(ports, delivery, "row_disagreement");
  try {
    const opened = await ports.openContext(tenantUuid, event.tenantId, event);
    if (!opened.ok) return await refuse(ports, delivery, opened.reason);
    const { tenant } = opened.context;
    if (tenant.uuid !== tenantUuid || tenant.id !== event.tenantId) return await quarantine(ports, delivery, "tenant_disagreement");
    await apply(ports, consumer, delivery, event, opened.context);
    return DONE;
  } catch (error) {
    if (error instanceof UnreportedQuarantine) throw error;
    return failed(ports, delivery, error);
  }
}

async function apply(
  { data, handlerTimeoutMs }: HandlingPorts,
  consumer: EventConsumer,
  delivery: Delivery,
  event: OpenedEvent,
  context: TenantContext,
): Promise<void> {
  const effect = await withinTime(handlerTimeoutMs, (signal) => consumer.handle(event, context, signal));
  await data.forTenant(context).transaction(async (tx) => {
    if (await enterInbox(tx, delivery)) await effect(tx);
  });
}

async function withinTime<T>(limitMs: number, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const late = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  const over = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      const fault = new Fault("upstream_timeout", `an event's handler took longer than ${limitMs} ms`);
      reject(fault);
      late.abort(fault);
    }, limitMs);
  });
  try {
    return await Promise.race([work(late.signal), over]);
  } finally {
    clearTimeout(timer);
  }
}

async function refuse(ports: HandlingPorts, delivery: Delivery, reason: "unknown" | "suspended" | "deleted"): Promise<DeliveryOutcome> {
  switch (reason) {
    case "unknown":
      return await quarantine(ports, delivery, "unknown_tenant");
    case "suspended":
      return { kind: "park", delayMs: PARK_MS, reason: "tenant_suspended" satisfies FaultCode };
    case "deleted":
      return DONE;
  }
}

/** The audit trail did not take the quarantine. */
class UnreportedQuarantine extends Error {}

async function quarantine({ report }: HandlingPorts, delivery: Delivery, reason: QuarantineReason): Promise<DeliveryOutcome> {
  const { tenantUuid, consumer, eventId } = delivery;
  try {
    await report.onQuarantine({ reason, tenantUuid, consumer, eventId });
  } catch (cause) {
    throw new UnreportedQuarantine("a quarantine could not be reported", { cause });
  }
  return { kind: "dead", reason };
}

function failed({ random, report }: HandlingPorts, { attempts, consumer, eventId }: Delivery, error: unknown): DeliveryOutcome {
  const fault = toFault(error);
  report.onFault(new Fault(fault.code, `event ${eventId} for ${consumer}, attempt ${attempts}: ${fault.message}`, { cause: error }));
  if (attempts >= ATTEMPTS_MAX) return { kind: "dead", reason: fault.code };
  return { kind: "retry", delayMs: backoffMs(attempts, random), error: fault.code };
}
