import { createHash } from "node:crypto";
import { Fault, type Random } from "../kernel/index.ts";
import { sql } from "../stores/data/index.ts";
import type { TenantScope } from "../stores/index.ts";

/** How long a code is good. */
export const LINK_CODE_LIFETIME_S = 600;
/** Codes of one user at a time. */
const CODES_MAX = 5;
const CODE_BYTES = 10;
const ALPHABET = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789";
const MESSAGE = /^link\s+([A-HJ-NP-Z2-9]{5})-?([A-HJ-NP-Z2-9]{5})$/i;

/** One person of a chat platform who is one of the tenant's users. */
export interface ChannelLink {
  readonly sender: string;
  readonly createdAt: Date;
}

/**
 * A code by which a user, proved here, is recognised on a chat platform, where the platform proves the person who writes it. It is kept as
 * a hash, and good once and for ten minutes. Throws `conflict` for too many codes at a time.
 */
export async function makeLinkCode(scope: TenantScope, userId: string, random: Random): Promise<string> {
  const { tenant } = scope.context;
  // 32 letters, so that every byte means one of them
  const letters = [...random.bytes(CODE_BYTES)].map((byte) => ALPHABET[byte % ALPHABET.length]).join("");
  const { count } = await scope.platform.query(sql`
    insert into freehold.channel_link_codes (tenant_id, hash, user_id, expires_at)
    select ${tenant.uuid}, ${hashOf(letters)}, ${userId}, now() + ${LINK_CODE_LIFETIME_S}::integer * interval '1 second'
    where (select count(*) from freehold.channel_link_codes
      where tenant_id = ${tenant.uuid} and user_id = ${userId} and expires_at > now()) < ${CODES_MAX}`);
  if (count === 0)
    throw new Fault("conflict", "too many codes", { public: { detail: `There are ${CODES_MAX} codes already. Use one of them.` } });
  return `${letters.slice(0, 5)}-${letters.slice(5)}`;
}

/** The code in a message that is nothing but one; undefined for any other text. */
export function linkCodeIn(text: string): string | undefined {
  const [, first, second] = MESSAGE.exec(text.trim()) ?? [];
  return first !== undefined && second !== undefined ? `${first}${second}`.toUpperCase() : undefined;
}

/**
 * Uses a code up: whoever wrote it is its user from now on, and the sessions that this person began are the user's too. False when the code
 * is not good, or no longer.
 */
export async function useLinkCode(scope: TenantScope, sender: string, code: string): Promise<boolean> {
  const { tenant } = scope.context;
  const userId = await scope.platform.transaction(async (tx) => {
    await tx.query(sql`delete from freehold.channel_link_codes where tenant_id = ${tenant.uuid} and expires_at < now()`);
    const { rows } = await tx.query<{ userId: string }>(sql`
      delete from freehold.channel_link_codes where tenant_id = ${tenant.uuid} and hash = ${hashOf(code)} returning user_id as "userId"`);
    const user = rows[0]?.userId;
    if (user === undefined) return undefined;
    await tx.query(sql`
      insert into freehold.channel_links (tenant_id, sender, user_id) values (${tenant.uuid}, ${sender}, ${user})
      on conflict (tenant_id, sender) do update set user_id = excluded.user_id, created_at = now()`);
    return user;
  });
  if (userId === undefined) return false;
  await scope.data.query(sql`update sessions set user_id = ${userId} where tenant_id = ${tenant.uuid} and user_id = ${sender}`);
  return true;
}

/** Which user a person of a chat platform is; the person alone when it was never linked. */
export async function userOf(scope: TenantScope, sender: string): Promise<string> {
  const { rows } = await scope.platform.query<{ userId: string }>(sql`
    select user_id as "userId" from freehold.channel_links where tenant_id = ${scope.context.tenant.uuid} and sender = ${sender}`);
  return rows[0]?.userId ?? sender;
}

/** The caller's links, the oldest first. */
export async function listLinks(scope: TenantScope): Promise<readonly ChannelLink[]> {
  const { tenant, principal } = scope.context;
  const { rows } = await scope.platform.query<ChannelLink>(sql`
    select sender, created_at as "createdAt" from freehold.channel_links
    where tenant_id = ${tenant.uuid} and user_id = ${principal.id} order by created_at, sender limit 100`);
  return rows;
}

/** Ends all of the caller's links. What was written until then stays the caller's. */
export async function removeLinks(scope: TenantScope): Promise<void> {
  const { tenant, principal } = scope.context;
  await scope.platform.query(sql`delete from freehold.channel_links where tenant_id = ${tenant.uuid} and user_id = ${principal.id}`);
}

function hashOf(code: string): Buffer {
  return createHash("sha256").update(code).digest();
}
