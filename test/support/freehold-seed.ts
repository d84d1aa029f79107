import assert from "node:assert/strict";
import type pg from "pg";
import type { App } from "../../src/cli/app.ts";
import { Client } from "./freehold-client.ts";
import { CANARY, tenantIdOf, valueOf } from "./tenants.ts";

/** The tenants of every test: the attacker, the victim, and one in each state that is not served. */
export const TENANTS = ["a", "b", "s", "d", "p"] as const;
export type TenantName = (typeof TENANTS)[number];

/** Every tenant has these ids. */
export const USERS = ["u1", "u2", "u3"] as const;
export const DOCUMENTS = ["doc-1", "doc-2", "doc-3"] as const;
/** The random parts of two sessions, of u1 and of u2. */
export const SESSIONS = ["23456789-session-of-u1", "23456789-session-of-u2"] as const;
export const DEAD_LETTER = "0198c0de-0000-7000-8000-000000000001";

/** A rate that no test reaches. */
export const NO_LIMIT = { requestsPerSecond: 1_000_000, burst: 1_000_000 } as const;

/** The header fields that prove each principal of one tenant. */
export interface Credentials {
  readonly member: Readonly<Record<string, string>>;
  readonly otherMember: Readonly<Record<string, string>>;
  readonly admin: Readonly<Record<string, string>>;
  /** An admin's key with every scope. */
  readonly key: Readonly<Record<string, string>>;
  /** A member's key with the scope `chat` only. */
  readonly chatKey: Readonly<Record<string, string>>;
  readonly revokedKey: Readonly<Record<string, string>>;
  readonly keyIds: readonly string[];
}

/** The bearer field. */
export function bearer(token: string): Readonly<Record<string, string>> {
  return { authorization: `Bearer ${token}` };
}

/** Registers the tenants through the platform's own API and fills each with the same ids; what b stores has the canary. */
export async function seedTenants(
  app: App,
  operator: Client,
  agentUrl: (name: TenantName) => string,
): Promise<Readonly<Record<TenantName, Credentials>>> {
  const made: [TenantName, Credentials][] = [];
  for (const name of TENANTS) {
    await ok(operator.post("/admin/v1/tenants", tenantDocument(name, agentUrl(name))));
    const credentials = await credentialsOf(app, operator, name);
    const admin = new Client(app.url, credentials.admin);
    for (const user of USERS) await ok(admin.post("/users/create", userDocument(name, user)));
    for (const id of DOCUMENTS) await ok(admin.post("/documents", documentOf(name, id)));
    made.push([name, credentials]);
  }
  return Object.fromEntries(made) as Record<TenantName, Credentials>; // one entry per name
}

function tenantDocument(name: TenantName, invokeUrl: string): Record<string, unknown> {
  return {
    id: name,
    name: valueOf(name, `Tenant ${name}`),
    plan: "professional",
    rate: NO_LIMIT,
    locale: "de-CH",
    billing: { email: `billing${name === "b" ? CANARY : ""}@example.com` },
    agentConfig: { invokeUrl: name === "b" ? `${invokeUrl}/${CANARY}` : invokeUrl, protocol: "webhook", timeout: 20_000, concurrency: 50 },
    errorTexts: { not_found: { de: valueOf(name, `Hier ist nichts (${name})`), en: valueOf(name, `Nothing here (${name})`) } },
    agent: { mcp: { seeded: valueOf(name, `xoxb-token-of-${name}`) } },
    domains: [`ai.${name}.example`],
  };
}

function userDocument(name: TenantName, id: string): Record<string, unknown> {
  const email = `${id}${name === "b" ? `.${CANARY}` : ""}@example.com`;
  return {
    id,
    name: valueOf(name, `User ${id}`),
    email,
    roles: [id === "u3" ? "admin" : "member"],
    metadata: { note: valueOf(name, "note") },
  };
}

/** A document that both tenants have under the same id. */
export function documentOf(name: TenantName, id: string): Record<string, unknown> {
  const text = valueOf(name, `Refunds of ${id} take thirty days after delivery.`);
  return { id, title: valueOf(name, `Title ${id}`), text, metadata: { topic: "refunds", note: valueOf(name, "note") } };
}

async function credentialsOf({ services, url }: App, operator: Client, name: TenantName): Promise<Credentials> {
  const { tokens } = services.identity;
  const token = (sub: string, role: "member" | "admin"): Readonly<Record<string, string>> =>
    bearer(tokens.issue({ sub, tenantId: tenantIdOf(name), roles: [role], lifetimeMs: 3_600_000 }));
  const key = async (label: string, document: Record<string, unknown>): Promise<{ id: string; key: string }> =>
    (await ok(operator.post(`/admin/v1/tenants/${name}/keys`, { name: valueOf(name, label), ...document }))) as { id: string; key: string };
  const all = await key("all scopes", { roles: ["admin"], scopes: ["chat", "models", "search", "documents", "users", "tenant"] });
  const chat = await key("chat only", { roles: ["member"], scopes: ["chat"] });
  const revoked = await key("revoked", { roles: ["admin"], scopes: ["chat"] });
  const admin = token("u3", "admin");
  await ok(new Client(url, admin).send("DELETE", `/tenant/v1/keys/${revoked.id}`));
  return {
    member: token("u1", "member"),
    otherMember: token("u2", "member"),
    admin,
    key: { "x-api-key": all.key },
    chatKey: { "x-api-key": chat.key },
    revokedKey: { "x-api-key": revoked.key },
    keyIds: [all.id, chat.id, revoked.id],
  };
}

async function ok(reply: ReturnType<Client["send"]>): Promise<Record<string, unknown>> {
  const { status, text } = await reply;
  assert.ok(status < 300, `seeding answered ${status}: ${text}`);
  return text === "" ? {} : (JSON.parse(text) as Record<string, unknown>); // our own API answers with objects
}

/** What the API cannot make with a chosen id: sessions and dead letters, the same in every tenant. As the engine's superuser. */
export async function seedRows(client: pg.Client): Promise<void> {
  const { rows } = await client.query<{ uuid: string; id: TenantName }>("select uuid, id from freehold.tenants order by id");
  for (const { uuid, id } of rows) {
    const note = JSON.stringify({ note: valueOf(id, "note") });
    for (const [at, session] of SESSIONS.entries()) {
      await client.query(
        `insert into freehold.sessions (tenant_id, id, user_id, platform, metadata, messages) values ($1, $2, $3, 'web', $4::jsonb, 2)`,
        [uuid, session, USERS[at], note],
      );
      await client.query(
        `insert into freehold.messages (tenant_id, session_id, seq, id, role, body) values
         ($1, $2, 1, gen_random_uuid(), 'user', $3), ($1, $2, 2, gen_random_uuid(), 'assistant', $4)`,
        [uuid, session, valueOf(id, "A question"), valueOf(id, "An answer")],
      );
    }
    await client.query(
      `insert into freehold.dead_letters (tenant_id, consumer, event_id, seq, partition_key, envelope, created_at, attempts, reason)
       values ($1, 'index-users', $2, 1, $3, $4, now(), 8, $5)`,
      [uuid, DEAD_LETTER, "u1", valueOf(id, "{}"), valueOf(id, "internal")],
    );
  }
}
