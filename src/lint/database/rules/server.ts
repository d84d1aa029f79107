import type { CheckedRule, Found } from "../../rule.ts";
import { type Policy, PUBLIC, type Relation } from "../catalog.ts";
import { identifier } from "../sql-text.ts";
import type { Subject } from "../subject.ts";

/** A fault of the engine's own row security, as its project has published it. */
interface EngineFault {
  readonly name: string;
  readonly lets: string;
  /** The minor version that mends it, by major version; a major version that is not among them never had it. */
  readonly mendedIn: Readonly<Record<number, number>>;
  /** Policies of the kind that it concerns. */
  concerns(subject: Subject, policy: Policy): boolean;
}

const isOfRole = (_: Subject, { roles }: Policy): boolean => !roles.includes(PUBLIC);
/** For a role that a tenant's role is only a member of. */
const isOfGroup = (subject: Subject, policy: Policy): boolean =>
  isOfRole(subject, policy) &&
  policy.roles.some((role) => subject.grantees.has(role) && !subject.applications.some(({ id }) => id === role));

const ENGINE_FAULTS: readonly EngineFault[] = [
  {
    name: "CVE-2023-2455",
    lets: "a plan that was made for one role keeps its policies for another one",
    mendedIn: { 15: 3 },
    concerns: isOfRole,
  },
  { name: "CVE-2023-39418", lets: "MERGE passes over policies for SELECT and UPDATE", mendedIn: { 15: 4 }, concerns: () => true },
  {
    name: "CVE-2024-10976",
    lets: "a plan with a sub-select keeps the policies of the role that it was made for",
    mendedIn: { 15: 9, 16: 5, 17: 1 },
    concerns: isOfRole,
  },
  {
    name: "CVE-2025-8713",
    lets: "an operator reads samples of hidden rows out of the planner's statistics",
    mendedIn: { 15: 14, 16: 10, 17: 6 },
    concerns: () => true,
  },
  {
    name: "CVE-2026-14666",
    lets: "a kept plan goes on with the policies of a role that was taken away from who runs it",
    mendedIn: { 15: 19, 16: 15, 17: 11, 18: 6 },
    concerns: isOfGroup,
  },
];

/** A rule about the server itself. */
export const SERVER_RULES: readonly CheckedRule<Subject>[] = [
  {
    id: "FH173",
    name: "server-not-mended",
    severity: "warning",
    means: "The server lacks a minor version that mends row security itself, and there are policies of the kind that the fault concerns.",
    *find(subject) {
      const met = subject.tenantTables.flatMap((table) => subject.policies(table.id).map((policy) => ({ table, policy })));
      for (const fault of ENGINE_FAULTS) {
        const concerned = met.filter(({ policy }) => fault.concerns(subject, policy));
        if (concerned.length > 0) yield* unmended(subject, fault, concerned);
      }
    },
  },
];

function* unmended(
  subject: Subject,
  fault: EngineFault,
  concerned: readonly { readonly table: Relation; readonly policy: Policy }[],
): Iterable<Found> {
  const { version } = subject.catalog.database;
  const [major, minor] = [Math.floor(version / 10_000), version % 10_000];
  const mended = fault.mendedIn[major];
  if (mended === undefined || minor >= mended) return;
  yield {
    object: `server PostgreSQL ${major}.${minor}`,
    detail: `It has ${fault.name}, mended in ${major}.${mended}: ${fault.lets}.`,
    fix: [`-- install PostgreSQL ${major}.${mended} or newer`, ...(fault.concerns === isOfGroup ? byName(subject, concerned) : [])],
  };
}

/** The policies for the tenants' roles themselves, so that none of them comes and goes with a membership. */
function byName(subject: Subject, concerned: readonly { readonly table: Relation; readonly policy: Policy }[]): readonly string[] {
  const to = subject.applications.map(({ id }) => subject.roleName(id)).join(", ");
  return concerned.map(({ table, policy }) => `alter policy ${identifier(policy.name)} on ${table.name} to ${to}`);
}
