import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { z } from "zod";
import { createRouteTable, type Services } from "../../src/control/index.ts";
import type { Operation } from "../../src/gateway/index.ts";
import { BASE_DOMAIN, guard, startFreehold } from "../support/freehold.ts";
import { type Client, Reply, type Sending } from "../support/freehold-client.ts";
import { until } from "../support/until.ts";
import { bodyOf, MAIN_ROWS, type Row, type Target } from "./decision-rows.ts";

const freehold = await startFreehold();
const { a } = freehold.credentials;
// paths, rules and schemas are read; nothing runs
const routes = createRouteTable({} as Services).main;
const tenantRoutes = routes.filter(({ access }) => access.realm === "tenant");

/** How a request names a tenant besides its credential, on any route. */
const SELECTORS: Readonly<
  Record<string, (tenant: string, target: Target) => { readonly path: string; readonly headers: Sending["headers"] & object }>
> = {
  "the header": (tenant, { path }) => ({ path, headers: { "x-tenant-id": tenant } }),
  "the path": (tenant, { path }) => ({ path: `/tenants/${tenant}${path}`, headers: {} }),
  "the host": (tenant, { path }) => ({ path, headers: { host: `${tenant}.${BASE_DOMAIN}` } }),
  "a custom domain": (tenant, { path }) => ({ path, headers: { host: `ai.${tenant}.example` } }),
  "all of them": (tenant, { path }) => ({
    path: `/tenants/${tenant}${path}`,
    headers: { "x-tenant-id": tenant, host: `${tenant}.${BASE_DOMAIN}` },
  }),
};

describe("every route, whoever is named beside the credential", () => {
  guard(freehold);

  for (const operation of tenantRoutes) {
    const { method, path } = operation;
    const row = MAIN_ROWS[`${method} ${path}`];
    if (!row) continue;

    test(`${method} ${path}: naming b is refused and changes nothing, naming a is as naming nobody`, async () => {
      const target = await row.target(freehold, "a");
      const [before, received] = [await freehold.fingerprint("everything"), freehold.agents.a.received.length];
      for (const [where, selector] of Object.entries(SELECTORS)) {
        const reply = await call(freehold.as(a.admin), operation, { ...target, ...selector("b", target) });
        assert.deepEqual([reply.status, reply.code], [403, "tenant_mismatch"], where);
      }
      for (const asked of disagreements(operation, target)) {
        const reply = await call(freehold.as(a.admin), operation, asked);
        assert.deepEqual([reply.status, reply.code], [403, "tenant_mismatch"], asked.path);
      }
      assert.deepEqual(await freehold.fingerprint("everything"), before);
      assert.equal(freehold.agents.a.received.length, received);
      assert.equal(
        (await call(freehold.as(admin(row)), operation, { ...target, ...SELECTORS["all of them"]?.("a", target) })).status,
        row.status,
      );
    });

    test(`${method} ${path}: half naming a and half naming b is refused`, async () => {
      const target = await row.target(freehold, "a");
      const halves = [
        { path: `/tenants/a${target.path}`, headers: { "x-tenant-id": "b" } },
        { path: `/tenants/b${target.path}`, headers: { "x-tenant-id": "a" } },
        { path: target.path, headers: { "x-tenant-id": "a", host: `b.${BASE_DOMAIN}` } },
        { path: `/tenants/a${target.path}`, headers: { host: "ai.b.example" } },
      ];
      for (const half of halves) {
        const reply = await call(freehold.as(a.admin), operation, { ...target, ...half });
        assert.deepEqual([reply.status, reply.code], [403, "tenant_mismatch"], JSON.stringify(half));
      }
    });
  }

  test("a route that has no field for a tenant takes none: it is ignored in the address or an unknown field", async () => {
    for (const { method, path, query } of tenantRoutes.filter((each) => each.method === "GET" && !each.accept)) {
      const target = await MAIN_ROWS[`${method} ${path}`]?.target(freehold, "a");
      const own = await freehold.as(a.admin).get(target?.path ?? "");
      for (const name of ["tenantId", "tenant_id", "tenant"]) {
        const reply = await freehold.as(a.admin).get(`${target?.path}${target?.path.includes("?") ? "&" : "?"}${name}=b`);
        // an archive says when it was made
        if (own.headers["content-type"] === "application/gzip") assert.equal(reply.status, own.status, `${path}?${name}`);
        else if (!query) assert.equal(withoutId(reply), withoutId(own), `${path}?${name}`);
        else assert.ok(["tenant_mismatch", "unknown_field"].includes(reply.code), `${path}?${name}: ${reply.text}`);
      }
    }
  });

  test("a parameter that came twice is refused, also when both agree", async () => {
    for (const path of ["/users", "/documents", "/api/sessions"]) {
      for (const query of ["tenantId=a&tenantId=b", "tenantId=b&tenantId=a", "tenantId=a&tenantId=a", "tenantId=a&%74enantId=b"]) {
        const reply = await freehold.as(a.admin).get(`${path}?${query}`);
        assert.deepEqual([reply.status, reply.code], [400, "malformed_request"], query);
      }
    }
  });

  test("an attempt stands in a's trail and the platform's, and b's trail says nothing of a", async () => {
    const reply = await freehold.as(a.member).get("/users", { headers: { "x-tenant-id": "b" } });
    const id = String(reply.headers["x-request-id"]);
    const trail = async (client: Client, path: string): Promise<string> => (await client.get(path)).text;
    await until("the attempt is written", async () => (await trail(freehold.as(a.admin), "/tenant/v1/audit?limit=200")).includes(id));
    assert.ok((await trail(freehold.as(freehold.platform.viewer), "/admin/v1/audit?limit=200")).includes(id));
    assert.ok(!(await trail(freehold.trusted(freehold.credentials.b.admin), "/tenant/v1/audit?limit=200")).includes(id));
  });

  test("a filter of a search that names b is refused and stands in the trail", async () => {
    const reply = await freehold.as(a.member).post("/search", { query: "refunds", filter: { tenantId: "b" } });
    assert.deepEqual([reply.status, reply.code], [403, "tenant_mismatch"]);
    const id = String(reply.headers["x-request-id"]);
    await until("the attempt is written", async () => (await freehold.as(a.admin).get("/tenant/v1/audit?limit=200")).text.includes(id));
    assert.equal((await freehold.as(a.member).post("/search", { query: "refunds", filter: { tenantId: "a" } })).status, 200);
  });

  test("a tenantId in a document's or a user's own values is a value and nothing more", async () => {
    const client = freehold.as(a.admin);
    assert.equal(
      (await client.post("/documents", { id: "claims", text: "It claims to be of b.", metadata: { tenantId: "b" } })).status,
      201,
    );
    const { results } = (await client.post("/search", { query: "claims to be" })).json<{
      results: { id: string; payload: { tenantId: string } }[];
    }>();
    assert.equal(results.find(({ id }) => id === "claims")?.payload.tenantId, "a");
    const asB = await freehold.trusted(freehold.credentials.b.admin).post("/search", { query: "claims to be" });
    assert.ok(asB.json<{ results: { id: string }[] }>().results.every(({ id }) => id !== "claims"));
  });
});

/** Calls that name b in each place which the operation itself reads a tenant from. */
function disagreements({ body, query }: Operation, target: Target): readonly Target[] {
  const { path, json } = target;
  const found: Target[] = [];
  if (hasTenantId(query)) found.push({ ...target, path: `${path}?tenantId=b` });
  if (hasTenantId(body)) found.push({ path, json: { ...(json as object), tenantId: "b" } });
  return found;
}

function hasTenantId(schema: z.ZodType | undefined): boolean {
  return schema instanceof z.ZodObject && Object.hasOwn(schema.shape, "tenantId");
}

/** u1 has the sessions; everything else an admin may do too. */
function admin({ scope }: Row): Readonly<Record<string, string>> {
  return scope === "chat" ? a.member : a.admin;
}

async function call(
  client: Client,
  { method, accept }: Operation,
  { headers = {}, ...target }: Target & { headers?: Sending["headers"] },
): Promise<Reply> {
  const { path } = target;
  const sending = bodyOf(target);
  if (!accept) return await client.send(method, path, { ...sending, headers: { ...sending.headers, ...headers } });
  const opened = await client.socket(path, headers as Readonly<Record<string, string>>); // one value each, as in SELECTORS
  if (opened instanceof Reply) return opened;
  opened.close();
  return new Reply(101, {}, Buffer.alloc(0));
}

/** A refusal has the id of its request in it. */
function withoutId({ text, headers }: Reply): string {
  return text.replaceAll(String(headers["x-request-id"]), "");
}
