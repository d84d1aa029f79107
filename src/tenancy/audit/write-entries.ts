import { Fault } from "../../kernel/index.ts";
import { sql, type SystemData } from "../../stores/data/index.ts";
import type { AuditEvent } from "./audit.ts";

/** The trail of the platform itself. No tenant has this internal id. */
export const PLATFORM_TRAIL = "00000000-0000-0000-0000-000000000000";

/** An entry that has its place in the trails and is not written yet. */
export interface WaitingEntry extends AuditEvent {
  readonly id: string;
  readonly at: Date;
}

/**
 * Writes the entries, each into the trails it belongs in, all or none of them. An entry that the database will never take is left out and
 * given back, so that it does not stop those behind it. Writing an entry again changes nothing.
 */
export async function writeEntries(system: SystemData, batch: readonly WaitingEntry[]): Promise<readonly WaitingEntry[]> {
  try {
    await insert(system, batch);
    return [];
  } catch (error) {
    if (!isDataError(error)) throw error;
    if (batch.length === 1) return batch;
    const middle = batch.length >> 1;
    const first = await writeEntries(system, batch.slice(0, middle));
    return [...first, ...(await writeEntries(system, batch.slice(middle)))];
  }
}

async function insert(system: SystemData, batch: readonly WaitingEntry[]): Promise<void> {
  const rows = batch.flatMap((event) => {
    const trails = event.actorTenant ? [event.actorTenant.uuid, PLATFORM_TRAIL] : [PLATFORM_TRAIL];
    return trails.map((trail) => ({
      tenant_id: trail,
      id: event.id,
      at: event.at.toISOString(),
      action: event.action,
      reason: event.reason,
      actor: event.actor,
      actor_tenant: event.actorTenant?.id ?? null,
      target_tenant: event.targetTenant,
      request_id: event.requestId,
      source: event.source,
      detail: event.detail ?? {},
    }));
  });
  // an entry that was written before an answer was lost is not written twice
  await system.query(sql`
    insert into freehold.audit_entries
    select * from jsonb_populate_recordset(null::freehold.audit_entries, ${storable(JSON.stringify(rows))}::jsonb)
    on conflict do nothing`);
}

/** JSON text with what PostgreSQL cannot store, NUL and lone surrogates, as U+FFFD. Callers can send both inside what they claim. */
function storable(json: string): string {
  return json.replaceAll(/\\(?:u(0000|d[89a-f][0-9a-f]{2})|[^])/g, (escape, bad: string | undefined) => (bad ? "\ufffd" : escape));
}

/** Whether the database refused the values themselves (SQLSTATE class 22, data exception). */
function isDataError(error: unknown): boolean {
  if (!(error instanceof Fault) || !(error.cause instanceof Error) || !("code" in error.cause)) return false;
  return typeof error.cause.code === "string" && error.cause.code.startsWith("22");
}
