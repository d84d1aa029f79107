import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createTenantContext, type Scope, type TenantRole } from "../../src/kernel/index.ts";
import { tenantOf } from "../support/tenants.ts";

function parts() {
  const roles: TenantRole[] = ["member"];
  const scopes: Scope[] = ["chat"];
  const trace = { traceId: "0af7651916cd43dd8448eb211c80319c", spanId: "b7ad6b7169203331", sampled: true };
  const principal = { realm: "tenant" as const, kind: "user" as const, id: "user-1", roles, scopes };
  return {
    roles,
    scopes,
    trace,
    principal,
    context: { tenant: tenantOf("a"), principal, provedBy: "jwt" as const, requestId: "r-1", trace },
  };
}

describe("a tenant context", () => {
  test("cannot be changed at any depth, also not through what it was made of", () => {
    const { context, principal, roles, scopes, trace } = parts();
    const made = createTenantContext(context);
    for (const part of [made, made.principal, made.principal.roles, made.principal.scopes, made.trace, made.tenant]) {
      assert.ok(Object.isFrozen(part));
    }
    roles.push("admin");
    scopes.push("tenant");
    principal.id = "user-2";
    trace.sampled = false;
    assert.deepEqual(made.principal, { realm: "tenant", kind: "user", id: "user-1", roles: ["member"], scopes: ["chat"] });
    assert.equal(made.trace.sampled, true);
  });

  test("has exactly its parts: what else was handed in is left behind", () => {
    const { context } = parts();
    const made = createTenantContext({ ...context, isPlatform: true } as typeof context);
    assert.deepEqual(Object.keys(made).toSorted(), ["principal", "provedBy", "requestId", "tenant", "trace"]);
  });
});
