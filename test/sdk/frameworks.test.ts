import assert from "node:assert/strict";
import { sign } from "node:crypto";
import { before, describe, test } from "node:test";
import { sql } from "freehold";
import { TEST_TENANTS, type TestFreehold } from "freehold/testing";
import { createKeyring, systemClock } from "../../src/kernel/index.ts";
import { createSigningKey, createTokenIssuer, ownSigningKey } from "../../src/tenancy/identity/index.ts";
import { assertNothingInner } from "../support/answer-rules.ts";
import { tenantIdOf } from "../support/tenants.ts";
import { FRAMEWORKS, type Service, type ServiceReply, startService, startTestFreehold } from "./service.ts";

let testing: TestFreehold;
before(async () => {
  testing = await startTestFreehold({ report: () => undefined });
});

function linesOf(fields: Readonly<Record<string, string>>): string[] {
  return Object.entries(fields).flat();
}

function contextOf(tenant: "acme" | "globex"): string {
  return testing.headers(tenant)["x-tenant-context"] ?? "";
}

/** The parts of a signed context with another header or payload, under the old signature. */
function changed(text: string, part: 0 | 1, change: (value: Record<string, unknown>) => Record<string, unknown>): string {
  const parts = text.split(".");
  const value = JSON.parse(Buffer.from(parts[part] ?? "", "base64url").toString()) as Record<string, unknown>; // we have signed it
  parts[part] = Buffer.from(JSON.stringify(change(value))).toString("base64url");
  return parts.join(".");
}

/** A context with these changes, signed by a key that the gateway never published. */
function forged(text: string): string {
  const [head = "", payload = ""] = text.split(".");
  return `${head}.${payload}.${sign(null, Buffer.from(`${head}.${payload}`), createSigningKey().privateKey).toString("base64url")}`;
}

function assertRefusal(reply: ServiceReply, status: number, code: string): void {
  assert.equal(reply.status, status, reply.text);
  assert.equal(reply.headers["content-type"], "application/problem+json");
  const problem = JSON.parse(reply.text) as Record<string, unknown>;
  assert.equal(problem["code"], code);
  assert.equal(problem["requestId"], reply.headers["x-request-id"]);
  assert.equal(reply.headers["cache-control"], "private, no-store");
  assertNothingInner(reply.text);
}

for (const framework of FRAMEWORKS) {
  describe(`a service on ${framework}`, () => {
    let service: Service;
    before(async () => {
      service = await startService(framework, testing.freehold, {
        who: async ({ context, scope }) => {
          const { rows } = await scope.data.query<{ tenant: string }>(sql`select freehold.tenant()::text as tenant`);
          const logged = testing.freehold.logFields().tenantId;
          return { tenant: context.tenant.id, uuid: context.tenant.uuid, row: rows[0]?.tenant, logged, user: context.principal.id };
        },
      });
    });

    test("gets the proved tenant, and its database is in that tenant", async () => {
      for (const tenant of TEST_TENANTS) {
        const reply = await service.send("/who", linesOf(testing.headers(tenant, { id: "ann" })));
        const { uuid, row, ...rest } = JSON.parse(reply.text) as Record<string, string>;
        assert.deepEqual(rest, { tenant, logged: tenant, user: "ann" });
        assert.equal(row, uuid);
        assert.equal(reply.headers["cache-control"], "private, no-store");
      }
    });

    test("never mixes requests that are under way at once", async () => {
      const replies = await Promise.all(
        Array.from({ length: 60 }, async (_, at) => {
          const tenant = TEST_TENANTS[at % 2] ?? "acme";
          return { tenant, reply: await service.send("/who", linesOf(testing.headers(tenant, { id: `user-${at}` }))), user: `user-${at}` };
        }),
      );
      for (const { tenant, reply, user } of replies) {
        const { uuid, row, ...rest } = JSON.parse(reply.text) as Record<string, string>;
        assert.deepEqual(rest, { tenant, logged: tenant, user });
        assert.equal(row, uuid);
      }
      assert.deepEqual(testing.freehold.logFields(), {}, "outside of a request there is no tenant");
    });

    test("runs no handler for a request without a proved tenant, and never falls back to one", async () => {
      service.ran.length = 0;
      const hopeless = [
        [],
        ["X-Tenant-ID", "acme"],
        ["X-Tenant-Context", ""],
        ["X-Tenant-Context", "acme"],
        ["Authorization", "Bearer acme:user-1"],
        ["Authorization", `Bearer ${contextOf("acme")}`],
        ["Cookie", `x-tenant-context=${contextOf("acme")}`],
      ];
      for (const fields of hopeless) assertRefusal(await service.send("/who", fields), 401, "unauthenticated");
      assertRefusal(await service.send("/not-there", []), 401, "unauthenticated");
      assert.deepEqual(service.ran, []);
    });

    test("runs no handler for a context that is not exactly what the gateway signed for it", async () => {
      service.ran.length = 0;
      const good = contextOf("acme");
      const stranger = createTokenIssuer(ownSigningKey(createKeyring(Buffer.alloc(32, 9))), systemClock);
      const bad = {
        "alg none": `${changed(good, 0, ({ kid }) => ({ alg: "none", kid, typ: "tenant-context+jwt" }))
          .split(".")
          .slice(0, 2)
          .join(".")}.`,
        "alg HS256": changed(good, 0, (header) => ({ ...header, alg: "HS256" })),
        "another tenant": changed(good, 1, (claims) => ({ ...claims, tenant_id: "globex" })),
        "another audience": changed(good, 1, (claims) => ({ ...claims, aud: "billing" })),
        "another key": forged(good),
        "an unknown key": forged(changed(good, 0, (header) => ({ ...header, kid: "none-of-ours" }))),
        "an access token": stranger.issue({ sub: "u", tenantId: tenantIdOf("acme"), roles: ["admin"], lifetimeMs: 60_000 }),
        "two at once": `${good}, ${contextOf("globex")}`,
      };
      for (const [name, text] of Object.entries(bad)) {
        const reply = await service.send("/who", ["X-Tenant-Context", text]);
        assert.equal(reply.status, 401, `${name}: ${reply.text}`);
      }
      assert.deepEqual(service.ran, []);
    });

    test("refuses a field that others would take for the gateway's, and one that came twice", async () => {
      service.ran.length = 0;
      const good = contextOf("acme");
      for (const name of ["X_Tenant_Context", "X.Tenant.Context", "x-tenant_id", "X_TENANT_ID"]) {
        const reply = await service.send("/who", ["X-Tenant-Context", good, name, "globex"]);
        assertRefusal(reply, 400, "malformed_request");
      }
      const twice = await service.send("/who", ["X-Tenant-Context", good, "X-Tenant-Context", contextOf("globex")]);
      assert.ok(twice.status === 400 || twice.status === 401, twice.text); // Hono sees one field with a comma in it
      assert.deepEqual(service.ran, []);
    });

    test("refuses a name that the context does not bear out, and the attempt stands in the tenant's trail", async () => {
      service.ran.length = 0;
      const reply = await service.send("/who", ["X-Tenant-Context", contextOf("acme"), "X-Tenant-ID", "globex"]);
      assertRefusal(reply, 403, "tenant_mismatch");
      assert.deepEqual(service.ran, []);
      const { scope } = await testing.tenant("acme");
      await testing.freehold.forTenant("acme", "writes what waits in the trail");
      const { rows } = await scope.data.query<{ target: string }>(sql`
        select target_tenant as target from freehold.audit_entries where action = 'cross_tenant_attempt' order by id desc limit 1`);
      assert.equal(rows[0]?.target, "globex");
    });

    test("answers what a handler throws from the one table, with when to try again", async () => {
      const reply = await service.send("/fault", linesOf({ ...testing.headers("acme"), "x-request-id": "request-7" }));
      assertRefusal(reply, 429, "rate_limited");
      assert.equal(reply.headers["retry-after"], "2");
      assert.equal(reply.headers["x-request-id"], "request-7");
      assertRefusal(await service.send("/broken", linesOf(testing.headers("acme"))), 500, "internal");
    });

    test("answers a body that is no JSON from the same table", async () => {
      const fields = linesOf({ ...testing.headers("acme"), "content-type": "application/json", "content-length": "5" });
      const reply = await service.send("/echo", fields, "{oops");
      if (framework === "Hono") assert.equal(reply.status, 500); // its handler parses by itself
      else assertRefusal(reply, 400, "malformed_request");
    });
  });
}
