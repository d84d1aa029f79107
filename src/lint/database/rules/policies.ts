import type { CheckedRule, Found } from "../../rule.ts";
import type { Policy, Relation } from "../catalog.ts";
import { NOTABLE_FUNCTIONS } from "../catalog-queries.ts";
import { type ExpressionFault, type ExpressionVerdict, judgeContextBody, judgeExpression } from "../policy-expression.ts";
import { identifier, objectOf, revoke, tenantCondition } from "../sql-text.ts";
import type { Subject } from "../subject.ts";

const COMMANDS = { "*": "all", r: "select", a: "insert", w: "update", d: "delete" } as const;

/** Every tenant table with each permissive policy that a tenant's role meets on it. A restrictive one can only take away. */
function* policies(subject: Subject): Iterable<{ readonly table: Relation; readonly policy: Policy }> {
  for (const table of subject.tenantTables) {
    if (!subject.tenantColumn(table.id)) continue;
    for (const policy of subject.policies(table.id)) if (policy.permissive) yield { table, policy };
  }
}

function verdicts(subject: Subject, { using, check }: Policy): ExpressionVerdict[] {
  return [using, check]
    .filter((text) => text !== null)
    .map((text) => resolve(subject, judgeExpression(text, subject.manifest.tenantColumn)));
}

/** Looks into a function that the manifest names: what it does is what the policy does. */
function resolve(subject: Subject, verdict: ExpressionVerdict): ExpressionVerdict {
  if (verdict.fault !== undefined || verdict.boundBy !== "function") return verdict;
  if (!subject.manifest.contextFunctions.includes(verdict.name)) return { fault: "unbound" };
  const routine = subject.catalog.routines.find(({ plain }) => plain === verdict.name);
  // one that runs as its owner can check what only its owner may read; of any other the body is all there is
  if (!routine || routine.definer) return verdict;
  const body = judgeContextBody(routine.source);
  return body.fault === "unbound" || (body.fault === undefined && body.boundBy === "function") ? verdict : body;
}

/** A rule about one fault of an expression. */
function faultRule(id: CheckedRule<Subject>["id"], name: string, fault: ExpressionFault, means: string): CheckedRule<Subject> {
  return {
    id,
    name,
    severity: "error",
    means,
    *find(subject) {
      for (const { table, policy } of policies(subject)) {
        if (!verdicts(subject, policy).some((verdict) => verdict.fault === fault)) continue;
        yield {
          object: `policy ${identifier(policy.name)} on ${table.name}`,
          detail: `It says ${[policy.using, policy.check].filter((text) => text !== null).join(" and checks ")}.`,
          fix: rewritten(subject, table, policy),
        };
      }
    },
  };
}

/** The policy as it should be. */
function rewritten(subject: Subject, table: Relation, policy: Policy): readonly string[] {
  const type = subject.tenantColumn(table.id)?.type ?? "uuid";
  const condition = tenantCondition(subject, type);
  const using = policy.command === "a" ? "" : ` using (${condition})`;
  const check = policy.command === "r" || policy.command === "d" ? "" : ` with check (${condition})`;
  return [`alter policy ${identifier(policy.name)} on ${table.name}${using}${check}`];
}

/** Rules about what policies say. */
export const POLICY_RULES: readonly CheckedRule<Subject>[] = [
  {
    id: "FH103",
    name: "no-policy",
    severity: "warning",
    means: "Row security is on and no policy lets a tenant's role in: it sees nothing, until somebody opens it in a hurry.",
    *find(subject) {
      for (const table of subject.tenantTables) {
        if (!table.rowSecurity || !subject.tenantColumn(table.id) || subject.reach(table).length === 0) continue;
        if (subject.policies(table.id).some(({ permissive }) => permissive)) continue;
        const condition = tenantCondition(subject, subject.tenantColumn(table.id)?.type ?? "uuid");
        const to = subject.applications.map(({ id }) => subject.roleName(id)).join(", ");
        yield {
          object: objectOf(table),
          detail: "It has rights for tenants' roles and no policy for them.",
          fix: [`create policy tenant on ${table.name} for all to ${to} using (${condition}) with check (${condition})`],
        };
      }
    },
  },
  {
    id: "FH104",
    name: "policy-without-check",
    severity: "warning",
    means: "A policy for writing has no WITH CHECK of its own: what may be written follows from what may be read, and opens with it.",
    *find(subject) {
      for (const { table, policy } of policies(subject)) {
        if (policy.check !== null || (policy.command !== "*" && policy.command !== "w")) continue;
        yield {
          object: `policy ${identifier(policy.name)} on ${table.name}`,
          detail: `It is for ${COMMANDS[policy.command]} and has USING only.`,
          fix: [`alter policy ${identifier(policy.name)} on ${table.name} with check (${policy.using ?? "false"})`],
        };
      }
    },
  },
  faultRule("FH105", "policy-always-true", "always-true", "A policy for a tenant's role is true for every row."),
  faultRule("FH106", "policy-or", "or", "A policy has an OR: whatever satisfies the other side sees all tenants, and the index is lost."),
  faultRule(
    "FH107",
    "policy-column-cast",
    "column-cast",
    "A policy casts the tenant's column: two tenants can become one text, and the index is lost.",
  ),
  faultRule(
    "FH108",
    "policy-column-function",
    "column-function",
    "A policy compares a function of the tenant's column: tenants that it maps together see each other.",
  ),
  faultRule(
    "FH109",
    "policy-setting-required",
    "setting-required",
    "A policy reads a setting that must exist: without a tenant every statement fails, and its error tells that the row was there.",
  ),
  faultRule(
    "FH110",
    "policy-setting-empty",
    "setting-empty",
    "A policy takes an empty setting for a tenant: after a transaction a setting is empty, not gone.",
  ),
  {
    id: "FH111",
    name: "tenant-setting-forgeable",
    severity: "error",
    means: "Policies believe a setting that a tenant's role can set itself: one expression in a SELECT becomes any tenant.",
    *find(subject) {
      const settings = new Set<string>();
      for (const { policy } of policies(subject)) {
        for (const verdict of verdicts(subject, policy))
          if (verdict.fault === undefined && verdict.boundBy === "setting") settings.add(verdict.setting);
      }
      if (settings.size === 0) return;
      for (const routine of subject.callable(NOTABLE_FUNCTIONS.setting)) {
        const grants = subject.calls(routine);
        yield {
          object: `function ${routine.name}`,
          detail: `It sets ${[...settings].join(", ")}, which policies go by.`,
          fix: revoke(subject, `function ${routine.name}`, grants),
        };
      }
    },
  },
  faultRule("FH112", "policy-unbound", "unbound", "A policy does not compare the tenant's column with the tenant in force."),
  faultRule(
    "FH113",
    "policy-reads-table",
    "other-table",
    "A policy reads another table: what it read may be revoked while the statement still runs, and its rows depend on other policies.",
  ),
  {
    id: "FH114",
    name: "policies-add-up",
    severity: "error",
    means: "Several permissive policies meet one role and command: they are joined by OR, so the widest decides.",
    find: additions,
  },
];

function* additions(subject: Subject): Iterable<Found> {
  for (const table of subject.tenantTables) {
    const found = subject.policies(table.id).filter(({ permissive }) => permissive);
    for (const [at, policy] of found.entries()) {
      const first = found.slice(0, at).find(({ command }) => command === "*" || policy.command === "*" || command === policy.command);
      if (!first) continue;
      yield {
        object: `policy ${identifier(policy.name)} on ${table.name}`,
        detail: `It adds to the policy ${identifier(first.name)}.`,
        fix: [`drop policy ${identifier(policy.name)} on ${table.name}`],
      };
    }
  }
}
