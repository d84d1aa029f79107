import { type Fault, systemClock, systemRandom } from "../../src/kernel/index.ts";
import type { DataStore, Queryable, SystemData } from "../../src/stores/data/index.ts";
import { type Audit, type AuditEntry, type AuditEvent, createAudit } from "../../src/tenancy/audit/index.ts";
import { contextOf } from "../support/tenants.ts";

const A = contextOf("a").tenant;

/** An entry about tenant a's user, but for what is given. */
export function event(parts: Partial<AuditEvent> = {}): AuditEvent {
  return {
    action: "tenant_mismatch",
    reason: "header",
    actor: "user-1",
    actorTenant: { id: A.id, uuid: A.uuid },
    targetTenant: "b",
    requestId: "request-1",
    source: "192.0.2.1",
    ...parts,
  };
}

/** An audit over the store. What it reports is pushed to `reports`. */
export function auditOver(data: DataStore, reports: Fault[] = []): Audit {
  return createAudit({ data, clock: systemClock, random: systemRandom, report: (fault) => void reports.push(fault) });
}

/** The request ids of the entries, the oldest first. */
export function requestsOf(entries: readonly AuditEntry[]): string[] {
  return entries.map(({ requestId }) => requestId).toReversed();
}

/** The store behind a line that can be cut; what is sent meanwhile is lost, or, with `answers`, done without the answer coming back. */
export function severable(data: DataStore): { readonly data: DataStore; readonly line: Line } {
  const line: Line = { cut: "none", tries: 0 };
  const query = async <R>(statement: Parameters<Queryable["query"]>[0]) => {
    line.tries++;
    if (line.cut === "both") throw new Error("the line is cut");
    const rows = await data.system.query<R>(statement);
    if (line.cut === "answers") throw new Error("the line is cut");
    return rows;
  };
  const system: SystemData = { ...data.system, query };
  return { data: { ...data, system }, line };
}

export interface Line {
  cut: "none" | "both" | "answers";
  tries: number;
}
