import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { PLATFORM_ROLES, type Principal, SCOPES, TENANT_ROLES, type TenantRole } from "../../src/kernel/index.ts";
import { type Access, authorise, isWithin } from "../../src/tenancy/policy/index.ts";

const tenantRoles = fc.subarray([...TENANT_ROLES]);
const platformRoles = fc.subarray([...PLATFORM_ROLES]);
const kind = fc.constantFrom("user" as const, "api_key" as const);

const principals: fc.Arbitrary<Principal | undefined> = fc.oneof(
  fc.constant(undefined),
  fc.record({ realm: fc.constant("tenant" as const), kind, id: fc.constant("p"), roles: tenantRoles, scopes: fc.subarray([...SCOPES]) }),
  fc.record({ realm: fc.constant("platform" as const), kind, id: fc.constant("p"), roles: platformRoles }),
);

const accesses: fc.Arbitrary<Access> = fc.oneof(
  fc.constant({ realm: "public" as const }),
  fc.record({ realm: fc.constant("tenant" as const), role: fc.constantFrom(...TENANT_ROLES), scope: fc.constantFrom(...SCOPES) }),
  fc.record({ realm: fc.constant("platform" as const), role: fc.constantFrom(...PLATFORM_ROLES) }),
);

/** What may be done, one line per role and realm: nothing else. */
const MAY = new Set([
  "tenant member member",
  "tenant admin member",
  "tenant admin admin",
  "platform viewer viewer",
  "platform admin viewer",
  "platform admin admin",
]);

describe("the policy", () => {
  test("allows what its table has, and refuses everything else", () => {
    fc.assert(
      fc.property(principals, accesses, (principal, access) => {
        const { allow } = authorise(principal, access);
        if (access.realm === "public") return allow;
        const roles: readonly string[] = principal?.roles ?? [];
        const role = principal?.realm === access.realm && roles.some((each) => MAY.has(`${access.realm} ${each} ${access.role}`));
        const scope = access.realm !== "tenant" || (principal?.realm === "tenant" && principal.scopes.includes(access.scope));
        return allow === (role && scope);
      }),
      { numRuns: 2_000 },
    );
  });

  test("never lets an operator in as a tenant, or a tenant's admin as an operator, under equal role names", () => {
    const operator: Principal = { realm: "platform", kind: "user", id: "o", roles: ["admin"] };
    const admin: Principal = { realm: "tenant", kind: "user", id: "a", roles: ["admin"], scopes: SCOPES };
    assert.deepEqual(authorise(operator, { realm: "tenant", role: "member", scope: "chat" }), { allow: false, rule: "realm" });
    assert.deepEqual(authorise(admin, { realm: "platform", role: "viewer" }), { allow: false, rule: "realm" });
  });

  test("says which rule refused", () => {
    const member: Principal = { realm: "tenant", kind: "user", id: "m", roles: ["member"], scopes: ["chat"] };
    assert.deepEqual(authorise(undefined, { realm: "tenant", role: "member", scope: "chat" }), { allow: false, rule: "realm" });
    assert.deepEqual(authorise(member, { realm: "tenant", role: "admin", scope: "chat" }), { allow: false, rule: "role" });
    assert.deepEqual(authorise(member, { realm: "tenant", role: "member", scope: "users" }), { allow: false, rule: "scope" });
    const viewer: Principal = { realm: "platform", kind: "user", id: "v", roles: ["viewer"] };
    assert.deepEqual(authorise(viewer, { realm: "platform", role: "admin" }), { allow: false, rule: "role" });
  });

  test("gives no right to roles that it does not know, also not to names that every object has", () => {
    for (const role of ["owner", "", "constructor", "__proto__", "toString", "ADMIN", "viewer"]) {
      const roles = [role as TenantRole]; // what a damaged row could hold
      const principal: Principal = { realm: "tenant", kind: "user", id: "x", roles, scopes: SCOPES };
      assert.equal(authorise(principal, { realm: "tenant", role: "member", scope: "chat" }).allow, false, role);
    }
  });

  test("refuses an access rule that it does not know", () => {
    const operator: Principal = { realm: "platform", kind: "user", id: "o", roles: ["admin"] };
    const unknown = { realm: "everybody" } as unknown as Access; // what a damaged route could hold
    assert.equal(authorise(operator, unknown).allow, false);
  });

  test("finds a set of rights within another only when it has none that the other lacks", () => {
    const rights = fc.array(fc.constantFrom("a", "b", "c", "d"));
    fc.assert(
      fc.property(
        rights,
        rights,
        (child, parent) => isWithin(child, parent) === (new Set([...parent, ...child]).size === new Set(parent).size),
      ),
      { numRuns: 1_000 },
    );
  });
});
