import { createHash } from "node:crypto";
import { z } from "zod";
import { Fault, type Json, parseJson, parseTenantId, type Random, type Tenant } from "../../kernel/index.ts";
import { sql } from "../../stores/data/index.ts";
import type { TenantScope } from "../../stores/index.ts";
import type { SealPlace } from "../../stores/vault/index.ts";
import { assertUsable, invalidChannel, type PlatformApi } from "./platform-api.ts";
import type { SlackAddresses } from "./slack.ts";

/** What a tenant gives of its app to have it allowed by somebody of the workspace. */
export const slackRequest = z.strictObject({
  clientId: z.string().regex(/^[0-9]{1,20}\.[0-9]{1,20}$/, "use the client id of the app's basic information"),
  clientSecret: z.string().regex(/^[A-Za-z0-9]{16,128}$/, "use the client secret of the app's basic information"),
  signingSecret: z.string().regex(/^[A-Za-z0-9]{16,128}$/, "use the signing secret of the app's basic information"),
  externalMembers: z.boolean().default(false),
  name: z.string().trim().min(1).max(100).default("slack"),
});

const kept = slackRequest.extend({ createdBy: z.string() });
const granted = z.object({ ok: z.literal(true), access_token: z.string().max(512), token_type: z.literal("bot") });

/** Where somebody of the workspace allows the app. */
export interface AllowRequest {
  readonly url: string;
  /** Seconds. */
  readonly expiresIn: number;
}

/** What was allowed: enough to make the installation of it. */
export interface Allowed {
  readonly name: string;
  readonly createdBy: string;
  readonly given: { readonly botToken: string; readonly signingSecret: string; readonly externalMembers: boolean };
}

const LIFETIME_S = 600;
const REQUESTS_MAX = 20;
const STATE_BYTES = 32;
const STATE = /^([a-z0-9-]{1,63})\.([A-Za-z0-9_-]{43})$/;
const CODE = /^[A-Za-z0-9._-]{1,512}$/;
/** What the app needs: mentions, direct messages, commands, answers, and its own id. */
const SCOPES = "app_mentions:read,chat:write,commands,im:history,users:read";

/** Begins an installation by OAuth 2: what the tenant has given is kept, sealed, until the workspace has allowed it, for ten minutes. */
export async function beginSlackRequest(
  scope: TenantScope,
  { random, addresses, redirectUrl }: { readonly random: Random; readonly addresses: SlackAddresses; readonly redirectUrl: string },
  given: z.output<typeof slackRequest>,
  createdBy: string,
): Promise<AllowRequest> {
  const { tenant } = scope.context;
  const secret = random.bytes(STATE_BYTES).toString("base64url");
  const hash = hashOf(secret);
  const sealed = await scope.vault.seal(placeOf(hash), Buffer.from(JSON.stringify({ ...given, createdBy }), "utf8"));
  const { count } = await scope.platform.query(sql`
    insert into freehold.channel_requests (tenant_id, hash, sealed, expires_at)
    select ${tenant.uuid}, ${hash}, ${sealed}, now() + ${LIFETIME_S}::integer * interval '1 second'
    where (select count(*) from freehold.channel_requests where tenant_id = ${tenant.uuid} and expires_at > now()) < ${REQUESTS_MAX}`);
  if (count === 0)
    throw new Fault("conflict", "too many requests", { public: { detail: "Too many installations wait. Try again later." } });
  const query = new URLSearchParams({
    client_id: given.clientId,
    scope: SCOPES,
    state: `${tenant.id}.${secret}`,
    redirect_uri: redirectUrl,
  });
  return { url: `${addresses.apiUrl}/oauth/v2/authorize?${query.toString()}`, expiresIn: LIFETIME_S };
}

/** The tenant that a state says it is of; whether it is true shows when it is used. */
export function tenantOfState(state: string): ReturnType<typeof parseTenantId> {
  return parseTenantId(STATE.exec(state)?.[1]);
}

/**
 * Uses a state up and gets the token for what was allowed. Throws `not_found` for a state that is not good, or no longer, or of another tenant,
 * and `invalid_settings` when Slack does not take the code.
 */
export async function finishSlackRequest(
  scope: TenantScope,
  { api, addresses, redirectUrl }: { readonly api: PlatformApi; readonly addresses: SlackAddresses; readonly redirectUrl: string },
  { state, code }: { readonly state: string; readonly code: string },
): Promise<Allowed> {
  const { tenant } = scope.context;
  const hash = hashOf(STATE.exec(state)?.[2] ?? "");
  // one who comes second with the same state finds nothing
  const { rows } = await scope.platform.query<{ sealed: Buffer; good: boolean }>(sql`
    delete from freehold.channel_requests where tenant_id = ${tenant.uuid} and (hash = ${hash} or expires_at < now())
    returning sealed, hash = ${hash} and expires_at > now() as good`);
  const request = rows.find(({ good }) => good);
  if (!request || !CODE.test(code))
    throw new Fault("not_found", "no such request", { public: { detail: "Begin the installation again." } });
  const given = kept.parse(parseJson(await scope.vault.open(placeOf(hash), request.sealed)));
  const botToken = await exchange(api, addresses, tenant, { ...given, code, redirectUrl });
  const { name, createdBy, signingSecret, externalMembers } = given;
  return { name, createdBy, given: { botToken, signingSecret, externalMembers } };
}

async function exchange(
  api: PlatformApi,
  { apiUrl }: SlackAddresses,
  tenant: Tenant,
  given: { readonly clientId: string; readonly clientSecret: string; readonly code: string; readonly redirectUrl: string },
): Promise<string> {
  const basic = Buffer.from(`${given.clientId}:${given.clientSecret}`, "utf8").toString("base64");
  const answer = await api(tenant, {
    method: "POST",
    url: `${apiUrl}/api/oauth.v2.access`,
    headers: { authorization: `Basic ${basic}`, "content-type": "application/x-www-form-urlencoded" },
    body: new URLSearchParams({ code: given.code, redirect_uri: given.redirectUrl }).toString(),
  });
  assertUsable("Slack", answer);
  const body: Json | undefined = answer.body;
  const token = granted.safeParse(body);
  if (token.success) return token.data.access_token;
  throw invalidChannel("code", "Slack does not give a token for this code. Begin the installation again.");
}

function hashOf(secret: string): Buffer {
  return createHash("sha256").update(secret).digest();
}

function placeOf(hash: Buffer): SealPlace {
  return { purpose: "secrets", table: "channel_requests", column: "sealed", row: [hash.toString("hex")] };
}
