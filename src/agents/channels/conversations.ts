import { createHash } from "node:crypto";
import { type Clock, Fault, partsToBytes, type Platform, type Random } from "../../kernel/index.ts";
import { sql } from "../../stores/data/index.ts";
import type { TenantScope } from "../../stores/index.ts";
import { findSession, hasEnded, newSessionId, type Session } from "../sessions.ts";

/** The session of a conversation: the one that is stored, or the id that the first turn will have. */
export interface ConversationSession {
  readonly sessionId: string;
  readonly known: Session | undefined;
}

/** Names a conversation of an installation: a digest, so that no two lists of parts meet and the platform's names are not kept. */
export function conversationKey(installation: string, parts: readonly string[]): string {
  return createHash("sha256")
    .update(partsToBytes([installation, ...parts]))
    .digest("base64url");
}

/**
 * The session in which a conversation goes on. A session that was deleted begins anew under the same id, with
 * nothing in it; after one that has ended comes another.
 */
export async function sessionOf(
  scope: TenantScope,
  { installation, platform, conversation }: { readonly installation: string; readonly platform: Platform; readonly conversation: string },
  { clock, random }: { readonly clock: Clock; readonly random: Random },
): Promise<ConversationSession> {
  const { tenant } = scope.context;
  const fresh = newSessionId(tenant, platform, random);
  const { rows } = await scope.platform.query<{ sessionId: string }>(sql`
    insert into freehold.channel_conversations (tenant_id, installation, conversation, session_id)
    values (${tenant.uuid}, ${installation}, ${conversation}, ${fresh})
    on conflict (tenant_id, installation, conversation) do update set last_at = now()
    returning session_id as "sessionId"`);
  const sessionId = rows[0]?.sessionId ?? fresh;
  const known = await findSession(scope, sessionId, undefined).catch(absent);
  if (!known || !hasEnded(tenant, known, clock.now())) return { sessionId, known };
  await scope.platform.query(sql`
    update freehold.channel_conversations set session_id = ${fresh}
    where tenant_id = ${tenant.uuid} and installation = ${installation} and conversation = ${conversation}`);
  return { sessionId: fresh, known: undefined };
}

function absent(error: unknown): undefined {
  if (error instanceof Fault && error.code === "not_found") return undefined;
  throw error;
}
