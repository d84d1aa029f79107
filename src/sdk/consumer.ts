import type { TenantScope } from "../stores/index.ts";
import {
  createPostgresBus,
  createWorker,
  type Effect,
  type EventConsumer,
  type EventWorker,
  type OpenedEvent,
  type Topic,
} from "../stores/events/index.ts";
import { createContextOpener, recordQuarantine } from "../cli/index.ts";
import { type Fault, systemClock, systemRandom, type TenantContext } from "../kernel/index.ts";
import type { House } from "./open-house.ts";

/** Something of a service that is told of events. */
export interface ServiceConsumer {
  /** Names it for ever inside this service: what it has handled is kept under this name. */
  readonly name: string;
  readonly topics: readonly Topic[];
  /**
   * Does the slow part outside any transaction, and gives the effect: what the event changes, committed exactly once with the note that it was
   * handled. May run more than once for one event; when it throws it is tried again later.
   */
  handle(event: OpenedEvent, scope: TenantScope, signal: AbortSignal): Promise<Effect>;
}

/** Handles events until it is closed. */
export type ServiceWorker = Pick<EventWorker, "drain" | "close">;

/** What contexts of events go through on their way to a handler. */
export interface ConsumerPorts {
  readonly report: (fault: Fault) => void;
  /** Takes the context as proved: the seal of its envelope was right. */
  readonly admit: (context: TenantContext) => TenantScope;
  /** Runs with the context's fields on log lines. */
  readonly run: <T>(context: TenantContext, work: () => T) => T;
}

/** The name under which a consumer of this service is kept: two services may name theirs alike. */
export function consumerName(audience: string, name: string): string {
  return `${audience}/${name}`;
}

/** A running worker for exactly these consumers. */
export async function startWorker(
  audience: string,
  house: House,
  consumers: readonly ServiceConsumer[],
  ports: ConsumerPorts,
): Promise<ServiceWorker> {
  const adapted: readonly EventConsumer[] = consumers.map((consumer) => ({
    name: consumerName(audience, consumer.name),
    topics: consumer.topics,
    handle: (event, context, signal) => ports.run(context, () => consumer.handle(event, ports.admit(context), signal)),
  }));
  const worker = createWorker({
    bus: createPostgresBus(house.data, adapted),
    data: house.data,
    keyring: house.keyring,
    clock: systemClock,
    random: systemRandom,
    consumers: adapted,
    openContext: createContextOpener(house.registry),
    report: {
      onFault: ports.report,
      onQuarantine: async (quarantine) => recordQuarantine(house.audit, quarantine),
    },
  });
  await worker.start();
  return worker;
}
