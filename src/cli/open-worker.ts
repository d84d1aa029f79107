import { type Keyring, systemClock, systemRandom } from "../kernel/index.ts";
import type { DataStore } from "../stores/data/index.ts";
import { createPostgresBus, createWorker, type EventConsumer, type EventWorker, type WorkerSettings } from "../stores/events/index.ts";
import type { Audit } from "../tenancy/audit/index.ts";
import type { Registry } from "../tenancy/registry/index.ts";
import { createContextOpener, recordQuarantine } from "./event-ports.ts";
import type { Telemetry } from "./telemetry.ts";

/** What a worker is opened over. */
export interface WorkerRooms {
  readonly data: DataStore;
  readonly keyring: Keyring;
  readonly registry: Registry;
  readonly audit: Audit;
  readonly telemetry: Telemetry;
}

/** A worker for exactly these consumers, over the events of this installation. */
export function openWorker(
  { data, keyring, registry, audit, telemetry }: WorkerRooms,
  consumers: readonly EventConsumer[],
  bounds: Pick<WorkerSettings, "concurrency" | "handlerTimeoutMs"> = {},
): EventWorker {
  return createWorker({
    ...bounds,
    bus: createPostgresBus(data, consumers),
    data,
    keyring,
    clock: systemClock,
    random: systemRandom,
    consumers,
    openContext: createContextOpener(registry),
    report: {
      onFault: telemetry.report,
      onQuarantine: async (quarantine) => recordQuarantine(audit, quarantine),
    },
  });
}
