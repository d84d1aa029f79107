import { forgetOld } from "../agents/index.ts";
import { type Fault, type Tenant, toFault } from "../kernel/index.ts";
import type { Stores } from "../stores/index.ts";
import type { Registry } from "../tenancy/registry/index.ts";
import type { Closing } from "./closing.ts";
import { asItself } from "./open-lifecycle.ts";

const EVERY_MS = 60 * 60_000;
const PAGE = 200;

/** What retention is kept with. */
interface RetentionRooms {
  readonly registry: Registry;
  readonly stores: Stores;
  readonly report: (fault: Fault) => void;
}

/**
 * Keeps conversations no longer than each tenant says: at the start and every hour. Several processes do no harm to each other, and one
 * tenant's failure is none of another's.
 */
export function openRetention({ registry, stores, report }: RetentionRooms, closing: Closing): void {
  const ending = new AbortController();
  const keepOf = async (tenant: Tenant): Promise<void> => {
    try {
      await forgetOld(stores.scope(asItself(tenant, tenant)), ending.signal);
    } catch (error) {
      report(toFault(error));
    }
  };
  const round = async (): Promise<void> => {
    let after = "";
    while (!ending.signal.aborted) {
      const tenants = await registry.list(after, PAGE);
      for (const tenant of tenants) {
        const kept = tenant.status === "active" || tenant.status === "suspended";
        if (kept && tenant.sessions.retentionDays !== null && !ending.signal.aborted) await keepOf(tenant);
      }
      after = tenants.at(-1)?.id ?? "";
      if (tenants.length < PAGE) return;
    }
  };
  let running: Promise<void> | undefined;
  const begin = (): void => {
    running ??= round()
      .catch((error: unknown) => report(toFault(error)))
      .finally(() => (running = undefined));
  };
  begin();
  const timer = setInterval(begin, EVERY_MS).unref();
  closing.add(async () => {
    clearInterval(timer);
    ending.abort();
    await running;
  });
}
