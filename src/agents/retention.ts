import { sql } from "../stores/data/index.ts";
import type { TenantScope } from "../stores/index.ts";

const BATCH = 1_000;

/** What was forgotten of a tenant. */
export interface Forgotten {
  readonly messages: number;
  readonly sessions: number;
}

/**
 * Deletes what is older than the tenant keeps it: messages by their own age, also in sessions that go on, and sessions in which nothing was
 * written since. In batches, so that nobody waits for it. Keeps everything where the tenant says nothing.
 */
export async function forgetOld(scope: TenantScope, signal: AbortSignal): Promise<Forgotten> {
  const { tenant } = scope.context;
  const { retentionDays } = tenant.sessions;
  if (retentionDays === null) return { messages: 0, sessions: 0 };
  let [messages, sessions, more] = [0, 0, true];
  while (more && !signal.aborted) {
    const old = await scope.data.query(sql`
      delete from messages where tenant_id = ${tenant.uuid} and (session_id, seq) in (
        select m.session_id, m.seq from messages m
        where m.tenant_id = ${tenant.uuid} and m.created_at < now() - ${retentionDays}::integer * interval '1 day' limit ${BATCH})`);
    const ended = await scope.data.query(sql`
      delete from sessions where tenant_id = ${tenant.uuid} and id in (
        select s.id from sessions s
        where s.tenant_id = ${tenant.uuid} and s.last_activity < now() - ${retentionDays}::integer * interval '1 day' limit ${BATCH})`);
    messages += old.count;
    sessions += ended.count;
    more = old.count === BATCH || ended.count === BATCH;
  }
  return { messages, sessions };
}
