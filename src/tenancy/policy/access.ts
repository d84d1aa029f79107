import type { PlatformRole, Principal, Scope, TenantRole } from "../../kernel/index.ts";

/**
 * Who may make a call. `public`: anybody. `tenant`: a principal of a tenant with at least the role and, where the credential is limited,
 * the scope. `platform`: an operator with at least the role. The realms never stand in for each other.
 */
export type Access =
  | { readonly realm: "public" }
  | { readonly realm: "tenant"; readonly role: TenantRole; readonly scope: Scope }
  | { readonly realm: "platform"; readonly role: PlatformRole };

/** The answer of the policy, with the rule that decided, for the log and the audit trail. */
export type Decision = { readonly allow: true } | { readonly allow: false; readonly rule: "realm" | "role" | "scope" };

const TENANT_RANK: Readonly<Record<TenantRole, number>> = { member: 1, admin: 2 };
const PLATFORM_RANK: Readonly<Record<PlatformRole, number>> = { viewer: 1, admin: 2 };

/** Whether the principal may make a call with this access rule. Everything that is not allowed here is refused. */
export function authorise(principal: Principal | undefined, access: Access): Decision {
  switch (access.realm) {
    case "public":
      return { allow: true };
    case "tenant":
      if (principal?.realm !== "tenant") return { allow: false, rule: "realm" };
      if (!principal.roles.some((role) => TENANT_RANK[role] >= TENANT_RANK[access.role])) return { allow: false, rule: "role" };
      return principal.scopes.includes(access.scope) ? { allow: true } : { allow: false, rule: "scope" };
    case "platform":
      if (principal?.realm !== "platform") return { allow: false, rule: "realm" };
      return principal.roles.some((role) => PLATFORM_RANK[role] >= PLATFORM_RANK[access.role])
        ? { allow: true }
        : { allow: false, rule: "role" };
    default:
      return { allow: false, rule: "realm" }; // a rule that is not known lets nobody in
  }
}

/** Whether every right of the child is among the parent's: what a principal makes can never do more than the principal. */
export function isWithin<T>(child: readonly T[], parent: readonly T[]): boolean {
  return child.every((right) => parent.includes(right));
}
