import { randomUUID } from "node:crypto";
import type { Scope } from "../../src/kernel/index.ts";
import type { Sending } from "../support/freehold-client.ts";
import type { Freehold } from "../support/freehold.ts";
import { DEAD_LETTER, DOCUMENTS, NO_LIMIT, SESSIONS, type TenantName, USERS } from "../support/freehold-seed.ts";

/** What one call of an operation is sent to and with. */
export interface Target {
  readonly path: string;
  readonly json?: unknown;
  /** Plain text, instead of JSON. */
  readonly text?: string;
}

/** How the target's body is sent. */
export function bodyOf({ json, text }: Target): Sending {
  if (text !== undefined) return { headers: { "content-type": "text/plain" }, body: text };
  return json === undefined ? {} : { json };
}

/** One operation as the design has it: who may call it, how it answers whom it lets in, and a call of it that works. */
export interface Row {
  /** `member` and `admin` are of a tenant, `viewer` and `operator` of the platform. */
  readonly who: "anybody" | "member" | "admin" | "viewer" | "operator";
  /** Of the tenant API: what a limited key must have. */
  readonly scope?: Scope;
  readonly status: number;
  /** A call of it in this tenant. What the call uses up is made anew. */
  target(freehold: Freehold, tenant: TenantName): Target | Promise<Target>;
}

let count = 0;
const fresh = (): string => `fresh-${++count}`;

const at =
  (path: string, json?: unknown): (() => Target) =>
  () =>
    json === undefined ? { path } : { path, json };

const PLAN = {
  name: "scratch",
  isolationLevel: "shared",
  quotas: { maxUsers: 1, maxProjects: 1, maxAIRequests: 1, storageLimit: 1, computeLimit: 1, networkBandwidth: 1 },
  rate: NO_LIMIT,
  features: [],
  billing: { currency: "EUR", monthlyPriceMinor: 0 },
};

const MODELS = { providers: { local: { kind: "ollama" } } };
const OWN_MODELS = { providers: { own: { kind: "openai" } } };

async function freshUser({ trusted, credentials }: Freehold, tenant: TenantName): Promise<Target> {
  const id = fresh();
  await trusted(credentials[tenant].admin).post("/users/create", { id, name: id });
  return { path: `/users/${id}` };
}

async function freshDocument({ trusted, credentials }: Freehold, tenant: TenantName): Promise<Target> {
  const id = fresh();
  await trusted(credentials[tenant].admin).post("/documents", { id, text: id });
  return { path: `/documents/${id}` };
}

async function freshFile({ trusted, credentials }: Freehold, tenant: TenantName): Promise<Target> {
  const target = `/files/content?name=${fresh()}`;
  await trusted(credentials[tenant].admin).send("PUT", target, { body: "content" });
  return { path: target };
}

/** A session of u1, who is the member among the principals. */
async function freshSession({ trusted, credentials }: Freehold, tenant: TenantName): Promise<Target> {
  const reply = await trusted(credentials[tenant].member).post("/api/chat", { message: "Hello" });
  return { path: `/api/sessions/${String(reply.json()["sessionId"])}` };
}

async function freshKey({ trusted, platform }: Freehold, tenant: TenantName): Promise<string> {
  const reply = await trusted(platform.admin).post(`/admin/v1/tenants/${tenant}/keys`, { name: "to be revoked" });
  return String(reply.json()["id"]);
}

async function freshPlatformKey({ trusted, platform }: Freehold): Promise<string> {
  const reply = await trusted(platform.admin).post("/admin/v1/keys", { name: "to be revoked" });
  return String(reply.json()["id"]);
}

async function freshTenant({ trusted, platform }: Freehold, status: "active" | "suspended"): Promise<string> {
  const id = fresh();
  await trusted(platform.admin).post("/admin/v1/tenants", { id, name: id });
  if (status === "suspended") await trusted(platform.admin).send("POST", `/admin/v1/tenants/${id}/suspend`);
  return id;
}

/** An upload of b's archive, and the name of a tenant that does not exist. */
async function importTarget({ trusted, platform }: Freehold): Promise<Target> {
  const operator = trusted(platform.admin);
  const { body } = await operator.get("/admin/v1/tenants/b/export");
  const upload = randomUUID();
  await operator.send("PUT", `/admin/v1/uploads/${upload}?at=0`, { body });
  return { path: `/admin/v1/tenants/${fresh()}/import`, json: { upload } };
}

/** A tenant whose erasure was asked for before: one that is under way would change things while other rows are looked at. */
async function eraseTarget(freehold: Freehold): Promise<Target> {
  const id = await freshTenant(freehold, "active");
  await freehold.sql(
    `insert into freehold.lifecycle_runs (id, subject, kind, state, request)
     select ('ffffffff-' || substr(gen_random_uuid()::text, 10))::uuid, uuid, 'erase', 'done', '{}' from freehold.tenants where id = $1`,
    [id],
  );
  return { path: `/admin/v1/tenants/${id}/erase`, json: { export: false } };
}

/** A tenant that was erased: how it is erased is tested elsewhere. */
async function certificateTarget(freehold: Freehold): Promise<Target> {
  const id = await freshTenant(freehold, "active");
  await freehold.sql(
    "insert into freehold.erasure_certificates (subject, certificate) select uuid, 'x' from freehold.tenants where id = $1",
    [id],
  );
  return { path: `/admin/v1/tenants/${id}/certificate` };
}

/** An installation of this tenant, which nothing is sent through here. */
async function freshChannel({ sql }: Freehold, tenant: TenantName): Promise<string> {
  const id = randomUUID().slice(0, 22);
  await sql(
    `insert into freehold.channel_installations (id, tenant_id, platform, name, app, workspace, settings, sealed, key_version, created_by)
     select $1, uuid, 'slack', 'to be removed', $1, $1, '{}', '', 1, 'test' from freehold.tenants where id = $2`,
    [id, tenant],
  );
  return id;
}

/** What no platform would take, so that none is asked. */
const NO_CHANNEL = { platform: "slack", settings: {} };
const TEST_MESSAGE = { to: "C1" };

/** The dead letter under the same id again: what was redriven fails as before. */
async function redriveTarget({ app, sql }: Freehold, tenant: TenantName): Promise<Target> {
  await app.services.worker.drain();
  const rows = await sql("select from freehold.dead_letters d join freehold.tenants t on t.uuid = d.tenant_id where t.id = $1", [tenant]);
  if (rows.length !== 1) throw new Error(`tenant ${tenant} has ${rows.length} dead letters`);
  return { path: `/tenant/v1/dead-letters/index-users/${DEAD_LETTER}/redrive` };
}

const TENANT_ROWS: Readonly<Record<string, Row>> = {
  "POST /api/chat": { who: "member", scope: "chat", status: 200, target: at("/api/chat", { message: "Hello" }) },
  "GET /api/chat/socket": { who: "member", scope: "chat", status: 101, target: at("/api/chat/socket") },
  "GET /api/sessions": { who: "member", scope: "chat", status: 200, target: at("/api/sessions") },
  "GET /api/sessions/{id}": {
    who: "member",
    scope: "chat",
    status: 200,
    target: (_freehold, tenant) => ({ path: `/api/sessions/${tenant}.web.${SESSIONS[0]}` }),
  },
  "DELETE /api/sessions/{id}": { who: "member", scope: "chat", status: 204, target: freshSession },
  "DELETE /api/sessions": { who: "member", scope: "chat", status: 200, target: at("/api/sessions?userId=u1") },
  "GET /api/sessions/{id}/export": {
    who: "member",
    scope: "chat",
    status: 200,
    target: async (freehold, tenant) => ({ path: `${(await freshSession(freehold, tenant)).path}/export` }),
  },
  "GET /api/links": { who: "member", scope: "chat", status: 200, target: at("/api/links") },
  "POST /api/links": { who: "member", scope: "chat", status: 201, target: at("/api/links", { userId: "u1" }) },
  "DELETE /api/links": { who: "member", scope: "chat", status: 204, target: at("/api/links") },
  "GET /users": { who: "member", scope: "users", status: 200, target: at("/users") },
  "POST /users/create": {
    who: "admin",
    scope: "users",
    status: 201,
    target: () => ({ path: "/users/create", json: { id: fresh(), name: "New" } }),
  },
  "GET /users/{id}": { who: "member", scope: "users", status: 200, target: at(`/users/${USERS[0]}`) },
  "PATCH /users/{id}": { who: "admin", scope: "users", status: 200, target: at(`/users/${USERS[1]}`, { name: "Renamed" }) },
  "DELETE /users/{id}": { who: "admin", scope: "users", status: 204, target: freshUser },
  "POST /documents": {
    who: "member",
    scope: "documents",
    status: 201,
    target: () => ({ path: "/documents", json: { id: fresh(), text: "New" } }),
  },
  "PUT /documents/{id}": {
    who: "member",
    scope: "documents",
    status: 201,
    target: () => ({ path: `/documents/${fresh()}`, text: "New" }),
  },
  "GET /documents": { who: "member", scope: "documents", status: 200, target: at("/documents") },
  "GET /documents/{id}": { who: "member", scope: "documents", status: 200, target: at(`/documents/${DOCUMENTS[0]}`) },
  "DELETE /documents/{id}": { who: "member", scope: "documents", status: 204, target: freshDocument },
  "GET /files": { who: "member", scope: "documents", status: 200, target: at("/files") },
  "PUT /files/content": {
    who: "member",
    scope: "documents",
    status: 200,
    target: () => ({ path: `/files/content?name=${fresh()}`, json: { any: "content" } }),
  },
  "GET /files/content": { who: "member", scope: "documents", status: 200, target: freshFile },
  "DELETE /files/content": { who: "member", scope: "documents", status: 204, target: freshFile },
  "POST /search": { who: "member", scope: "search", status: 200, target: at("/search", { query: "refunds" }) },
  "GET /tenant/v1": { who: "member", scope: "tenant", status: 200, target: at("/tenant/v1") },
  "GET /tenant/v1/config": { who: "admin", scope: "tenant", status: 200, target: at("/tenant/v1/config") },
  "PATCH /tenant/v1": { who: "admin", scope: "tenant", status: 200, target: at("/tenant/v1", { name: "Tenant a" }) },
  "GET /tenant/v1/export": { who: "admin", scope: "tenant", status: 200, target: at("/tenant/v1/export") },
  "POST /v1/chat/completions": { who: "member", scope: "models", status: 404, target: at("/v1/chat/completions", { model: "none" }) },
  "POST /v1/responses": { who: "member", scope: "models", status: 404, target: at("/v1/responses", { model: "none" }) },
  "POST /v1/embeddings": { who: "member", scope: "models", status: 404, target: at("/v1/embeddings", { model: "none" }) },
  "POST /v1/messages": { who: "member", scope: "models", status: 404, target: at("/v1/messages", { model: "none" }) },
  "POST /v1/messages/count_tokens": {
    who: "member",
    scope: "models",
    status: 404,
    target: at("/v1/messages/count_tokens", { model: "none" }),
  },
  "GET /v1/models": { who: "member", scope: "models", status: 200, target: at("/v1/models") },
  "GET /v1/models/{model}": { who: "member", scope: "models", status: 404, target: at("/v1/models/none") },
  "GET /tenant/v1/models/usage": { who: "admin", scope: "tenant", status: 200, target: at("/tenant/v1/models/usage") },
  "GET /tenant/v1/models/ledger": { who: "admin", scope: "tenant", status: 200, target: at("/tenant/v1/models/ledger") },
  "GET /tenant/v1/models": { who: "admin", scope: "tenant", status: 200, target: at("/tenant/v1/models") },
  "PUT /tenant/v1/models": { who: "admin", scope: "tenant", status: 200, target: at("/tenant/v1/models", { document: OWN_MODELS }) },
  "PUT /tenant/v1/models/keys/{provider}": {
    who: "admin",
    scope: "tenant",
    status: 204,
    target: at("/tenant/v1/models/keys/own", { key: "a key" }),
  },
  "GET /tenant/v1/keys": { who: "admin", scope: "tenant", status: 200, target: at("/tenant/v1/keys") },
  "POST /tenant/v1/keys": { who: "admin", scope: "tenant", status: 201, target: at("/tenant/v1/keys", { name: "New" }) },
  "DELETE /tenant/v1/keys/{keyId}": {
    who: "admin",
    scope: "tenant",
    status: 204,
    target: async (freehold, tenant) => ({ path: `/tenant/v1/keys/${await freshKey(freehold, tenant)}` }),
  },
  "GET /tenant/v1/channels": { who: "admin", scope: "tenant", status: 200, target: at("/tenant/v1/channels") },
  "POST /tenant/v1/channels": { who: "admin", scope: "tenant", status: 422, target: at("/tenant/v1/channels", NO_CHANNEL) },
  // nobody has said where this gateway is
  "POST /tenant/v1/channels/slack/install": {
    who: "admin",
    scope: "tenant",
    status: 422,
    target: at("/tenant/v1/channels/slack/install", {
      clientId: "1.2",
      clientSecret: "0123456789abcdef",
      signingSecret: "0123456789abcdef",
    }),
  },
  "GET /channels/slack/oauth": { who: "anybody", status: 404, target: at("/channels/slack/oauth?state=x&code=y") },
  "PATCH /tenant/v1/channels/{channel}": {
    who: "admin",
    scope: "tenant",
    status: 200,
    target: async (freehold, tenant) => ({
      path: `/tenant/v1/channels/${await freshChannel(freehold, tenant)}`,
      json: { name: "Changed" },
    }),
  },
  "DELETE /tenant/v1/channels/{channel}": {
    who: "admin",
    scope: "tenant",
    status: 204,
    target: async (freehold, tenant) => ({ path: `/tenant/v1/channels/${await freshChannel(freehold, tenant)}` }),
  },
  "POST /tenant/v1/channels/{channel}/test": {
    who: "admin",
    scope: "tenant",
    status: 404,
    target: at("/tenant/v1/channels/none/test", TEST_MESSAGE),
  },
  "GET /tenant/v1/dead-letters": { who: "admin", scope: "tenant", status: 200, target: at("/tenant/v1/dead-letters") },
  "POST /tenant/v1/dead-letters/{consumer}/{eventId}/redrive": { who: "admin", scope: "tenant", status: 202, target: redriveTarget },
  "GET /tenant/v1/audit": { who: "admin", scope: "tenant", status: 200, target: at("/tenant/v1/audit") },
};

const PLATFORM_ROWS: Readonly<Record<string, Row>> = {
  "GET /admin/v1/tenants": { who: "viewer", status: 200, target: at("/admin/v1/tenants") },
  "POST /admin/v1/tenants": {
    who: "operator",
    status: 201,
    target: () => ({ path: "/admin/v1/tenants", json: { id: fresh(), name: "New" } }),
  },
  "GET /admin/v1/tenants/{id}": { who: "viewer", status: 200, target: at("/admin/v1/tenants/b") },
  "PATCH /admin/v1/tenants/{id}": { who: "operator", status: 200, target: at("/admin/v1/tenants/p", { name: "Tenant p" }) },
  "POST /admin/v1/tenants/{id}/suspend": {
    who: "operator",
    status: 200,
    target: async (freehold) => ({ path: `/admin/v1/tenants/${await freshTenant(freehold, "active")}/suspend` }),
  },
  "POST /admin/v1/tenants/{id}/resume": {
    who: "operator",
    status: 200,
    target: async (freehold) => ({ path: `/admin/v1/tenants/${await freshTenant(freehold, "suspended")}/resume` }),
  },
  "GET /admin/v1/tenants/{id}/export": { who: "operator", status: 200, target: at("/admin/v1/tenants/b/export") },
  "PUT /admin/v1/uploads/{upload}": {
    who: "operator",
    status: 200,
    target: () => ({ path: `/admin/v1/uploads/${randomUUID()}?at=0`, json: "a piece" }),
  },
  "POST /admin/v1/tenants/{id}/import": { who: "operator", status: 201, target: importTarget },
  "POST /admin/v1/tenants/{id}/erase": { who: "operator", status: 202, target: eraseTarget },
  "GET /admin/v1/tenants/{id}/certificate": { who: "viewer", status: 200, target: certificateTarget },
  "POST /admin/v1/tenants/{id}/move": {
    who: "operator",
    status: 200,
    target: async (freehold) => ({ path: `/admin/v1/tenants/${await freshTenant(freehold, "active")}/move`, json: { data: "schema" } }),
  },
  "POST /admin/v1/tenants/{id}/move/confirm": { who: "operator", status: 200, target: at("/admin/v1/tenants/p/move/confirm") },
  "POST /admin/v1/tenants/{id}/tokens": { who: "operator", status: 201, target: at("/admin/v1/tenants/b/tokens", { sub: "u1" }) },
  "GET /admin/v1/tenants/{id}/keys": { who: "viewer", status: 200, target: at("/admin/v1/tenants/b/keys") },
  "POST /admin/v1/tenants/{id}/keys": { who: "operator", status: 201, target: at("/admin/v1/tenants/b/keys", { name: "New" }) },
  "DELETE /admin/v1/tenants/{id}/keys/{keyId}": {
    who: "operator",
    status: 204,
    target: async (freehold) => ({ path: `/admin/v1/tenants/b/keys/${await freshKey(freehold, "b")}` }),
  },
  "GET /admin/v1/tenants/{id}/channels": { who: "viewer", status: 200, target: at("/admin/v1/tenants/b/channels") },
  "POST /admin/v1/tenants/{id}/channels": { who: "operator", status: 422, target: at("/admin/v1/tenants/b/channels", NO_CHANNEL) },
  "PATCH /admin/v1/tenants/{id}/channels/{channel}": {
    who: "operator",
    status: 200,
    target: async (freehold) => ({ path: `/admin/v1/tenants/b/channels/${await freshChannel(freehold, "b")}`, json: { name: "Changed" } }),
  },
  "DELETE /admin/v1/tenants/{id}/channels/{channel}": {
    who: "operator",
    status: 204,
    target: async (freehold) => ({ path: `/admin/v1/tenants/b/channels/${await freshChannel(freehold, "b")}` }),
  },
  "POST /admin/v1/tenants/{id}/channels/{channel}/test": {
    who: "operator",
    status: 404,
    target: at("/admin/v1/tenants/b/channels/none/test", TEST_MESSAGE),
  },
  "GET /admin/v1/models": { who: "viewer", status: 200, target: at("/admin/v1/models") },
  "PUT /admin/v1/models": { who: "operator", status: 200, target: at("/admin/v1/models", { document: MODELS }) },
  "PUT /admin/v1/models/keys/{provider}": { who: "operator", status: 204, target: at("/admin/v1/models/keys/local", { key: "a key" }) },
  "GET /admin/v1/tenants/{id}/models/usage": { who: "viewer", status: 200, target: at("/admin/v1/tenants/b/models/usage") },
  "GET /admin/v1/tenants/{id}/models/ledger": { who: "viewer", status: 200, target: at("/admin/v1/tenants/b/models/ledger") },
  "GET /admin/v1/tenants/{id}/models": { who: "viewer", status: 200, target: at("/admin/v1/tenants/b/models") },
  "PUT /admin/v1/tenants/{id}/models": { who: "operator", status: 200, target: at("/admin/v1/tenants/b/models", { document: {} }) },
  "GET /admin/v1/tenants/{id}/vault": { who: "viewer", status: 200, target: at("/admin/v1/tenants/b/vault") },
  "PUT /admin/v1/tenants/{id}/vault/root": { who: "operator", status: 200, target: at("/admin/v1/tenants/b/vault/root", { root: null }) },
  "POST /admin/v1/tenants/{id}/vault/rotate": {
    who: "operator",
    status: 200,
    target: at("/admin/v1/tenants/b/vault/rotate", { purpose: "secrets" }),
  },
  "POST /admin/v1/vault/rewrap": { who: "operator", status: 200, target: at("/admin/v1/vault/rewrap") },
  "GET /admin/v1/keys": { who: "viewer", status: 200, target: at("/admin/v1/keys") },
  "POST /admin/v1/keys": { who: "operator", status: 201, target: at("/admin/v1/keys", { name: "New" }) },
  "DELETE /admin/v1/keys/{keyId}": {
    who: "operator",
    status: 204,
    target: async (freehold) => ({ path: `/admin/v1/keys/${await freshPlatformKey(freehold)}` }),
  },
  "GET /admin/v1/plans": { who: "viewer", status: 200, target: at("/admin/v1/plans") },
  "PUT /admin/v1/plans": { who: "operator", status: 200, target: at("/admin/v1/plans", PLAN) },
  "GET /admin/v1/audit": { who: "viewer", status: 200, target: at("/admin/v1/audit") },
};

/** The decisions of the port that callers reach, by method and path. */
export const MAIN_ROWS: Readonly<Record<string, Row>> = {
  ...TENANT_ROWS,
  ...PLATFORM_ROWS,
  // whoever is let in has signed nothing
  "POST /channels/slack/{installation}": { who: "anybody", status: 401, target: at(`/channels/slack/${"A".repeat(22)}`, {}) },
  "POST /channels/discord/{installation}": { who: "anybody", status: 401, target: at(`/channels/discord/${"A".repeat(22)}`, {}) },
  "GET /widget/frame.js": { who: "anybody", status: 200, target: at("/widget/frame.js") },
  "GET /widget/frame.css": { who: "anybody", status: 200, target: at("/widget/frame.css") },
  "GET /channels/web/{installation}": { who: "anybody", status: 404, target: at(`/channels/web/${"A".repeat(22)}`) },
  "GET /channels/web/{installation}/widget.js": { who: "anybody", status: 404, target: at(`/channels/web/${"A".repeat(22)}/widget.js`) },
  "POST /channels/web/{installation}/visitors": { who: "anybody", status: 404, target: at(`/channels/web/${"A".repeat(22)}/visitors`) },
  "GET /.well-known/freehold/jwks.json": { who: "anybody", status: 200, target: at("/.well-known/freehold/jwks.json") },
  "GET /openapi.json": { who: "anybody", status: 200, target: at("/openapi.json") },
};

/** The decisions of the loopback port. */
export const ADMIN_ROWS: Readonly<Record<string, Row>> = {
  ...PLATFORM_ROWS,
  "GET /health": { who: "anybody", status: 200, target: at("/health") },
  "GET /ready": { who: "anybody", status: 200, target: at("/ready") },
  "GET /metrics": { who: "anybody", status: 200, target: at("/metrics") },
};
