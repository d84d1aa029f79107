import {
  type Clock,
  Fault,
  type Json,
  type Platform,
  PLATFORMS,
  type Random,
  type Tenant,
  type TenantId,
  uuidV7,
} from "../kernel/index.ts";
import { type Queryable, sql } from "../stores/data/index.ts";
import type { TenantScope } from "../stores/index.ts";
import type { Citation, HistoryTurn } from "./message.ts";

/** One conversation of one user of one tenant on one channel. */
export interface Session {
  /** What callers see: `{tenant}.{platform}.{random}`. The label is for people; only tenant and random part together find a session. */
  readonly sessionId: string;
  readonly tenantId: TenantId;
  readonly userId: string;
  readonly platform: Platform;
  readonly metadata: Readonly<Record<string, Json>>;
  readonly messages: number;
  readonly createdAt: Date;
  readonly lastActivity: Date;
}

/** One message as stored. */
export interface StoredMessage {
  readonly id: string;
  readonly role: "user" | "assistant";
  readonly text: string;
  readonly citations: readonly Citation[];
  readonly createdAt: Date;
}

/** One question and its answer, to be added to a session. */
export interface Turn {
  readonly question: string;
  readonly answer: string;
  readonly citations: readonly Citation[];
}

/** What a session begins with. */
export type NewSession = Pick<Session, "sessionId" | "userId" | "platform" | "metadata">;

interface SessionRow extends Omit<Session, "sessionId" | "tenantId"> {
  readonly id: string;
}

const RANDOM_BYTES = 16;
const SESSION_ID = /^([a-z0-9-]{1,63})\.([a-z]+)\.([A-Za-z0-9_-]{22})$/;
/** Turns that go to the agent with a message. */
const HISTORY_MAX = 20;
const MESSAGES_SHOWN_MAX = 200;

/** A new session id: 128 random bits behind the label (nothing about another session can be guessed from it). */
export function newSessionId(tenant: Tenant, platform: Platform, random: Random): string {
  return `${tenant.id}.${platform}.${random.bytes(RANDOM_BYTES).toString("base64url")}`;
}

/** The random part of an id that says this tenant; undefined for any other text. */
function randomPart(tenant: Tenant, sessionId: string): { readonly id: string; readonly platform: Platform } | undefined {
  const [, label, platform, id] = SESSION_ID.exec(sessionId) ?? [];
  const known = PLATFORMS.find((name) => name === platform);
  return label === tenant.id && known && id !== undefined ? { id, platform: known } : undefined;
}

/** How long messages are shown, as an interval: what is past it is not, also where it has not been deleted yet. */
function keptFor({ sessions }: Tenant): string {
  return sessions.retentionDays === null ? "1000 years" : `${sessions.retentionDays} days`;
}

/** The session, or `not_found`: also when it is another tenant's, past its time, or `userId` is given and not its user. */
export async function findSession(scope: TenantScope, sessionId: string, userId: string | undefined): Promise<Session> {
  const { tenant } = scope.context;
  const wanted = randomPart(tenant, sessionId);
  const { rows } = await scope.data.query<SessionRow>(sql`
    select id, user_id as "userId", platform, metadata, messages, created_at as "createdAt", last_activity as "lastActivity"
    from sessions where tenant_id = ${tenant.uuid} and id = ${wanted?.id ?? ""} and platform = ${wanted?.platform ?? ""}
      and last_activity >= now() - ${keptFor(tenant)}::interval`);
  const row = rows[0];
  if (!row || (userId !== undefined && row.userId !== userId)) throw new Fault("not_found", "no such session");
  return toSession(tenant, row);
}

/** The tenant's sessions, the most recently used first; only of `userId` where given. */
export async function listSessions(scope: TenantScope, userId: string | undefined, limit: number): Promise<readonly Session[]> {
  const { tenant } = scope.context;
  const { rows } = await scope.data.query<SessionRow>(sql`
    select id, user_id as "userId", platform, metadata, messages, created_at as "createdAt", last_activity as "lastActivity"
    from sessions where tenant_id = ${tenant.uuid} and (${userId ?? null}::text is null or user_id = ${userId ?? null})
      and last_activity >= now() - ${keptFor(tenant)}::interval
    order by last_activity desc, id limit ${limit}`);
  return rows.map((row) => toSession(tenant, row));
}

/** Whether the tenant's time without a message is over: then the session is there to be read, and nothing is added to it. */
export function hasEnded({ sessions }: Tenant, { lastActivity }: Session, nowMs: number): boolean {
  return sessions.idleMinutes !== null && nowMs - lastActivity.getTime() > sessions.idleMinutes * 60_000;
}

/** Removes all sessions of a user, and gives how many. */
export async function removeSessionsOf(scope: TenantScope, userId: string): Promise<number> {
  const { count } = await scope.data.query(
    sql`delete from sessions where tenant_id = ${scope.context.tenant.uuid} and user_id = ${userId}`,
  );
  return count;
}

/** Every message of a session, the oldest first, read as it is asked for. */
export async function* allMessages(scope: TenantScope, session: Session): AsyncGenerator<StoredMessage, void> {
  const { tenant } = scope.context;
  const id = randomPart(tenant, session.sessionId)?.id ?? "";
  let after = 0;
  for (;;) {
    const { rows } = await scope.data.query<StoredMessage & { seq: number }>(sql`
      select seq, id, role, body as text, citations, created_at as "createdAt" from messages
      where tenant_id = ${tenant.uuid} and session_id = ${id} and seq > ${after}
        and created_at >= now() - ${keptFor(tenant)}::interval order by seq limit ${MESSAGES_SHOWN_MAX}`);
    for (const { seq, ...message } of rows) {
      after = seq;
      yield message;
    }
    if (rows.length < MESSAGES_SHOWN_MAX) return;
  }
}

/** Removes the session and its messages. */
export async function removeSession(scope: TenantScope, session: Session): Promise<void> {
  const { tenant } = scope.context;
  await scope.data.query(
    sql`delete from sessions where tenant_id = ${tenant.uuid} and id = ${randomPart(tenant, session.sessionId)?.id ?? ""}`,
  );
}

/** The newest messages of the session, the oldest of them first. */
export async function listMessages(scope: TenantScope, session: Session, limit = MESSAGES_SHOWN_MAX): Promise<readonly StoredMessage[]> {
  const { tenant } = scope.context;
  const { rows } = await scope.data.query<StoredMessage>(sql`
    select id, role, body as text, citations, created_at as "createdAt" from messages
    where tenant_id = ${tenant.uuid} and session_id = ${randomPart(tenant, session.sessionId)?.id ?? ""}
      and created_at >= now() - ${keptFor(tenant)}::interval order by seq desc limit ${limit}`);
  return rows.toReversed();
}

/** What the agent is told of the conversation so far. */
export async function readHistory(scope: TenantScope, session: Session): Promise<readonly HistoryTurn[]> {
  const messages = await listMessages(scope, session, HISTORY_MAX);
  return messages.map(({ role, text }) => ({ role, text }));
}

/**
 * Adds a turn; a session that is new is stored with its first turn and told of as an event, all in one transaction. A session that was
 * deleted while it was being answered stays deleted: the turn is not kept.
 */
export async function appendTurn(
  ports: { readonly clock: Clock; readonly random: Random },
  scope: TenantScope,
  session: NewSession,
  turn: Turn,
  isNew: boolean,
): Promise<void> {
  if (isNew) await scope.data.transaction((tx) => addTurn(ports, tx, scope, session, turn, true));
  else await addTurn(ports, scope.data, scope, session, turn, false);
}

/** The same as a part of what `on` does; for a session that is new it has to be a transaction. */
export async function addTurn(
  ports: { readonly clock: Clock; readonly random: Random },
  on: Queryable,
  scope: TenantScope,
  session: NewSession,
  turn: Turn,
  isNew: boolean,
): Promise<void> {
  if (isNew) await storeSession(on, scope, session);
  await insertTurn(ports, on, scope, session, turn);
}

/** Stores a session without a turn, for whoever is told its id before there is one. */
export async function beginSession(scope: TenantScope, session: NewSession): Promise<void> {
  await scope.data.transaction((tx) => storeSession(tx, scope, session));
}

/** The session and the event that tells of it: on a transaction, so that both are there or neither. */
async function storeSession(on: Queryable, scope: TenantScope, { sessionId, userId, platform, metadata }: NewSession): Promise<void> {
  const { tenant } = scope.context;
  await on.query(sql`
    insert into sessions (tenant_id, id, user_id, platform, metadata)
    values (${tenant.uuid}, ${randomPart(tenant, sessionId)?.id ?? ""}, ${userId}, ${platform}, ${JSON.stringify(metadata)}::jsonb)`);
  await scope.events.publish(on, {
    topic: "session.events",
    type: "session.created",
    key: sessionId,
    data: { sessionId, userId, platform },
  });
}

async function insertTurn(
  { clock, random }: { readonly clock: Clock; readonly random: Random },
  on: Queryable,
  scope: TenantScope,
  session: Pick<Session, "sessionId">,
  { question, answer, citations }: Turn,
): Promise<void> {
  const { tenant } = scope.context;
  const id = randomPart(tenant, session.sessionId)?.id ?? "";
  // the session's row is locked by the update, so turns of one session get their places one after the other
  await on.query(sql`
    with s as (
      update sessions set messages = messages + 2, last_activity = now()
      where tenant_id = ${tenant.uuid} and id = ${id} returning messages
    )
    insert into messages (tenant_id, session_id, seq, id, role, body, citations)
    select ${tenant.uuid}::uuid, ${id}, s.messages + m.place, m.id, m.role, m.body, m.citations
    from s, (values
      (-1, ${uuidV7(clock, random)}::uuid, 'user', ${question}::text, '[]'::jsonb),
      (0, ${uuidV7(clock, random)}::uuid, 'assistant', ${answer}::text, ${JSON.stringify(citations)}::jsonb)
    ) as m (place, id, role, body, citations)`);
}

function toSession(tenant: Tenant, { id, ...row }: SessionRow): Session {
  return { sessionId: `${tenant.id}.${row.platform}.${id}`, tenantId: tenant.id, ...row };
}
