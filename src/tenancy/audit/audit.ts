import { type Clock, createUuidSequence, type Fault, type Json, type Random, type TenantContext } from "../../kernel/index.ts";
import { type DataStore, sql } from "../../stores/data/index.ts";
import { AuditQueue } from "./audit-queue.ts";
import { PLATFORM_TRAIL, type WaitingEntry } from "./write-entries.ts";

/** Callers choose some of the texts: what is longer is cut, so that waiting entries take a bounded amount of memory. */
const TEXT_MAX = 256;
const DETAIL_MAX = 2_000;

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
  /**
   * Takes the entry and returns; it is written within moments, in order, also when the database is away for a while. When too many wait
   * already, it is not taken: the fault is reported, and the platform's trail says how many were lost.
   */
  record(event: AuditEvent): void;
  /** The newest entries of the context's tenant. */
  ofTenant(context: TenantContext, limit: number): Promise<readonly AuditEntry[]>;
  /** The newest entries of the platform's trail. */
  ofPlatform(limit: number): Promise<readonly AuditEntry[]>;
  /** Resolves when everything recorded so far is written, and rejects when the database does not take it now. */
  flush(): Promise<void>;
  close(): Promise<void>;
}

/** The audit trails over this data store. */
export function createAudit(ports: {
  readonly data: DataStore;
  readonly clock: Clock;
  readonly random: Random;
  readonly report: (fault: Fault) => void;
}): Audit {
  const { data, clock, random } = ports;
  const nextId = createUuidSequence(clock, random);
  const toEntry = (event: AuditEvent): WaitingEntry => ({ ...bounded(event), id: nextId(), at: new Date(clock.now()) });
  const queue = new AuditQueue({ system: data.system, report: ports.report, lossEntry: (entries) => toEntry(lossOf(entries)) });
  return {
    record: (event) => queue.add(() => toEntry(event)),
    async ofTenant(context, limit) {
      const { rows } = await data.forPlatformTables(context).query<AuditEntry>(sql`
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
    flush: () => queue.flush(),
    close: () => queue.close(),
  };
}

function bounded(event: AuditEvent): AuditEvent {
  const { actor, targetTenant, requestId, source, detail } = event;
  const text = detail === undefined ? "" : JSON.stringify(detail);
  return {
    ...event,
    actor: actor === null ? null : cut(actor, TEXT_MAX),
    targetTenant: targetTenant === null ? null : cut(targetTenant, TEXT_MAX),
    requestId: cut(requestId, TEXT_MAX),
    source: cut(source, TEXT_MAX),
    ...(text.length > DETAIL_MAX && { detail: { cut: cut(text, DETAIL_MAX) } }),
  };
}

function cut(text: string, lengthMax: number): string {
  return text.length <= lengthMax ? text : `${text.slice(0, lengthMax - 1)}…`;
}

function lossOf(entries: number): AuditEvent {
  return {
    action: "audit_entries_lost",
    reason: "too_many_waiting",
    actor: null,
    actorTenant: null,
    targetTenant: null,
    requestId: "",
    source: "audit",
    detail: { entries },
  };
}
