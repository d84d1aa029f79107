import { Fault } from "../kernel/index.ts";

/** What a caller without a slot is told to wait. */
const CONCURRENCY_RETRY_MS = 1_000;

/** The right to one answer under way. */
export interface Slot {
  /** Gives the slot back. Only the first call counts, so every way out may call it. */
  release(): void;
}

/** Counts the answers under way per tenant, so that one tenant's slow agent holds up that tenant only. */
export interface Slots {
  /** A slot of the tenant, of which it has `slotsMax`. Throws `concurrency_exceeded`. */
  take(tenantUuid: string, slotsMax: number): Slot;
  /** Slots the tenant holds now. */
  inUse(tenantUuid: string): number;
}

/** Slots of this process, none taken. */
export function createSlots(): Slots {
  // holds tenants with an answer under way only: bounded by the answers themselves
  const taken = new Map<string, number>();

  function giveBack(tenantUuid: string): void {
    const left = (taken.get(tenantUuid) ?? 0) - 1;
    if (left > 0) taken.set(tenantUuid, left);
    else taken.delete(tenantUuid);
  }

  return {
    take(tenantUuid, slotsMax) {
      const count = taken.get(tenantUuid) ?? 0;
      if (!(count < slotsMax)) throw refused(count, slotsMax);
      taken.set(tenantUuid, count + 1);
      let released = false;
      return {
        release() {
          if (released) return;
          released = true;
          giveBack(tenantUuid);
        },
      };
    },
    inUse: (tenantUuid) => taken.get(tenantUuid) ?? 0,
  };
}

function refused(count: number, slotsMax: number): Fault {
  return new Fault("concurrency_exceeded", `${count} of ${slotsMax} agent slots in use`, {
    public: { policy: "agent-concurrency", retryAfterMs: CONCURRENCY_RETRY_MS },
  });
}
