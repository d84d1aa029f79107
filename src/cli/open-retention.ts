import { forgetOld } from "../agents/index.ts";
import { type Fault, systemClock, type Tenant, toFault } from "../kernel/index.ts";
import { keptSince } from "../models/index.ts";
import type { Stores } from "../stores/index.ts";
import type { Registry } from "../tenancy/registry/index.ts";
import type { Closing } from "./closing.ts";
import { asItself } from "./open-lifecycle.ts";
import type { OpenModels } from "./open-models.ts";

const EVERY_MS = 60 * 60_000;
const PAGE = 200;

/** What retention is kept with. */
interface RetentionRooms extends Pick<OpenModels, "models" | "modelUse"> {
  readonly registry: Registry;
  readonly stores: Stores;
  readonly report: (fault: Fault) => void;
}

/**
 * Keeps conversations no longer than each tenant says, lines of the ledger of models no longer than the platform says, and what budgets were used only as long as it counts: at the start and every hour. Several processes do no harm to each other, and one
 * tenant's failure is none of another's.
 */
export function openRetention({ registry, stores, models, modelUse, report }: RetentionRooms, closing: Closing): void {
  const ending = new AbortController();
  const conversations = async (tenant: Tenant): Promise<void> => {
    if (tenant.sessions.retentionDays !== null) await forgetOld(stores.scope(asItself(tenant, tenant)), ending.signal);
  };
  const lines = async ({ uuid }: Tenant): Promise<void> => {
    const { ledgerDays } = models;
    if (ledgerDays !== undefined) await modelUse.fold(uuid, keptSince(systemClock.now(), ledgerDays), ending.signal);
  };
  const use = async ({ uuid }: Tenant): Promise<void> => void (await modelUse.forget(uuid, systemClock.now(), ending.signal));
  const keepOf = async (tenant: Tenant): Promise<void> => {
    for (const part of [conversations, lines, use]) {
      if (!ending.signal.aborted) await part(tenant).catch((error: unknown) => report(toFault(error)));
    }
  };
  const round = async (): Promise<void> => {
    await modelUse.forgetGateways(systemClock.now()).catch((error: unknown) => report(toFault(error)));
    let after = "";
    while (!ending.signal.aborted) {
      const tenants = await registry.list(after, PAGE);
      for (const tenant of tenants) {
        const kept = tenant.status === "active" || tenant.status === "suspended";
        if (kept) await keepOf(tenant);
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
