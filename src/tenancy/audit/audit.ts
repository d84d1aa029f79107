import { type Clock, type Fault, type Json, type Random, type TenantContext, toFault, uuidV7 } from "../../kernel/index.ts";
import { type DataStore, sql } from "../../stores/data/index.ts";

/** The trail of the platform itself. No tenant has this internal id. */
const PLATFORM_TRAIL = "00000000-0000-0000-0000-000000000000";

/** Entries waiting to be written. Over it the oldest work is not dropped: the newest is reported instead, so a flood cannot eat memory. */
const WAITING_MAX = 10_000;
const BATCH_MAX = 200;

/** What happened, who did it, and to what. Secrets and bodies never belong in here. */
export interface AuditEvent {
  readonly action: string;
  readonly reason: string;
  /** The principal, null where nobody was proved. */
  readonly actor: string | null;
  /** The caller's tenant as proved; null for the platform or nobody. */
  readonly actorTenant: { readonly id: string; readonly uuid: string } | null;
  /** The tenant that was asked for, as claimed. */
  readonly targetTenant: string | null;
  readonly requestId: string;
  /** Network address of the caller. */
  readonly source: string;
  readonly detail?: Readonly<Record<string, Json>>;
}

/** One entry as it is read back. */
export interface AuditEntry {
  readonly id: string;
  readonly at: Date;
  readonly action: string;
  readonly reason: string;
  readonly actor: string | null;
  readonly actorTenant: string | null;
  readonly targetTenant: string | null;
  readonly requestId: string;
  readonly source: string;
  readonly detail: Readonly<Record<string, Json>>;
}

/** The audit trails: one per tenant and one of the platform. An entry about a tenant's caller stands in both. */
export interface Audit {
  /** Takes the entry and returns; it is written within moments, in order. */
  record(event: AuditEvent): void;
  /** The newest entries of the context's tenant. */
  ofTenant(context: TenantContext, limit: number): Promise<readonly AuditEntry[]>;
  /** The newest entries of the platform's trail. */
  ofPlatform(limit: number): Promise<readonly AuditEntry[]>;
  /** Resolves when everything recorded so far is written. */
  flush(): Promise<void>;
  close(): Promise<void>;
}

export function createAudit(ports: { data: DataStore; clock: Clock; random: Random; report: (fault: Fault) => void }): Audit {
  const { data, clock, random, report } = ports;
  const waiting: (AuditEvent & { readonly id: string; readonly at: Date })[] = [];
  let writing: Promise<void> | undefined;

  const write = async (): Promise<void> => {
    while (waiting.length > 0) {
      const batch = waiting.slice(0, BATCH_MAX);
      await insert(data, batch);
      waiting.splice(0, batch.length);
    }
  };

  const begin = (): Promise<void> => {
    writing ??= write().finally(() => {
      writing = undefined;
    });
    return writing;
  };

  return {
    record(event) {
      if (waiting.length >= WAITING_MAX) {
        report(toFault(new Error(`audit: ${event.action} ${event.reason} of request ${event.requestId} was not written`)));
        return;
      }
      waiting.push({ ...event, id: uuidV7(clock, random), at: new Date(clock.now()) });
      begin().catch((error: unknown) => report(toFault(error))); // the entries stay waiting and go with the next one
    },
    async ofTenant(context, limit) {
      const { rows } = await data.forTenant(context).query<AuditEntry>(sql`
        select id, at, action, reason, actor, actor_tenant as "actorTenant", target_tenant as "targetTenant", request_id as "requestId",
          source, detail
        from freehold.audit_entries where tenant_id = ${context.tenant.uuid} order by id desc limit ${limit}`);
      return rows;
    },
    async ofPlatform(limit) {
      const { rows } = await data.system.query<AuditEntry>(sql`
        select id, at, action, reason, actor, actor_tenant as "actorTenant", target_tenant as "targetTenant", request_id as "requestId",
          source, detail
        from freehold.audit_entries where tenant_id = ${PLATFORM_TRAIL} order by id desc limit ${limit}`);
      return rows;
    },
    flush: async () => {
      if (waiting.length > 0 || writing) await begin();
    },
    async close() {
      if (waiting.length > 0 || writing) await begin().catch((error: unknown) => report(toFault(error)));
    },
  };
}

async function insert(data: DataStore, batch: readonly (AuditEvent & { readonly id: string; readonly at: Date })[]): Promise<void> {
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
  await data.system.query(sql`
    insert into freehold.audit_entries
    select * from jsonb_populate_recordset(null::freehold.audit_entries, ${JSON.stringify(rows)}::jsonb)
    on conflict do nothing`);
}
