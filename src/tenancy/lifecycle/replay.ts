import { Fault, type StoreTenant, type TenantId, type TenantStatus } from "../../kernel/index.ts";
import type { LifecyclePorts } from "./ports.ts";
import { beginRun, endOthers, type RequestedBy } from "./run-store.ts";
import { newRunId } from "./run-id.ts";

/** What a restored backup had brought back. */
export interface BroughtBack {
  readonly keysRevoked: readonly string[];
  /** Tenants that are erased again. */
  readonly erased: readonly StoreTenant[];
  /** Tenants that the backup did not know yet, whose names were given back to nobody. */
  readonly buried: readonly StoreTenant[];
  readonly suspended: readonly StoreTenant[];
  /** The erasures that were begun. */
  readonly runs: readonly string[];
}

/** In whose name the journal is carried out. */
const JOURNAL: RequestedBy = { actor: "revocation-journal", requestId: "boot", source: "boot" };

type Statuses = ReadonlyMap<string, { readonly id: TenantId; readonly status: TenantStatus }>;

/**
 * Does again what the journal says was done, where the database says otherwise: it then is a backup from before. Nothing of it is served
 * when this returns; the erasures are begun and have to be carried to their end.
 */
export async function replayJournal(ports: LifecyclePorts): Promise<BroughtBack> {
  const { registry, journal, audit } = ports;
  const said = await journal.read();
  const statuses = await registry.statuses([...said.erased, ...said.suspended].map(({ uuid }) => uuid));
  const keysRevoked = await registry.revokeAgain(said.keys);
  const suspended = said.suspended.filter(({ uuid }) => ["active", "moving"].includes(statuses.get(uuid)?.status ?? ""));
  for (const { id } of suspended) await registry.setStatus(id, "suspended");
  const { erased, buried, runs } = await eraseAgain(ports, said.erased, statuses);
  const record = (action: string, targetTenant: string | null, detail: Record<string, string>): void =>
    audit.record({ action, reason: "restored_backup", ...JOURNAL, actorTenant: null, targetTenant, detail });
  for (const key of keysRevoked) record("key_revoked", null, { key });
  for (const { id } of suspended) record("tenant_suspended", id, {});
  for (const { id } of erased) record("tenant_erasing", id, {});
  for (const { id } of buried) record("tenant_erased", id, {});
  return { keysRevoked, erased, buried, suspended, runs };
}

async function eraseAgain(
  ports: LifecyclePorts,
  tenants: readonly StoreTenant[],
  statuses: Statuses,
): Promise<Pick<BroughtBack, "erased" | "buried" | "runs">> {
  const { registry, data } = ports;
  const erased: StoreTenant[] = [];
  const buried: StoreTenant[] = [];
  const runs: string[] = [];
  for (const tenant of tenants) {
    const found = statuses.get(tenant.uuid);
    if (!found) {
      if (!(await registry.bury(tenant))) throw takenName(tenant);
      buried.push(tenant);
    } else if (found.status !== "erased" && found.status !== "deleting") {
      await registry.setStatus(found.id, "deleting"); // refused from now on
      erased.push(tenant);
      await endOthers(data.system, tenant.uuid); // what the backup was in the middle of
      const id = newRunId(ports);
      const request = { by: JOURNAL, name: found.id, restored: true };
      const begun = await beginRun(data.system, { id, subject: tenant.uuid, kind: "erase", request });
      runs.push(begun);
    }
  }
  return { erased, buried, runs };
}

/** Only a database that this installation did not write can have it. */
function takenName({ id }: StoreTenant): Fault {
  const detail = `The journal of revocations says that the tenant ${id} was erased, and the database has another tenant of that name. Restore a backup of this installation.`;
  return new Fault("invalid_settings", detail, { public: { detail } });
}
