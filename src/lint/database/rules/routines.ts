import type { CheckedRule, Found } from "../../rule.ts";
import type { Grant, Routine, Trigger } from "../catalog.ts";
import { NOTABLE_FUNCTIONS } from "../catalog-queries.ts";
import { holders, revoke } from "../sql-text.ts";
import type { Subject } from "../subject.ts";

/** Functions that run as their owner and that a tenant's role can call. */
function* definers(subject: Subject): Iterable<{ readonly routine: Routine; readonly grants: readonly Grant[] }> {
  for (const routine of subject.catalog.routines) {
    if (!routine.definer || routine.trigger || routine.builtIn || routine.extension) continue;
    const grants = subject.calls(routine);
    if (grants.length > 0) yield { routine, grants };
  }
}

/** Trigger functions that run as their owner when a tenant's role writes. */
function* firing(subject: Subject): Iterable<{ readonly routine: Routine; readonly trigger: Trigger; readonly table: string }> {
  for (const trigger of subject.catalog.triggers) {
    const table = subject.relation(trigger.relation);
    const routine = subject.catalog.routines.find(({ id }) => id === trigger.routine);
    const isWritten = table !== undefined && subject.reach(table, ["INSERT", "UPDATE", "DELETE"]).length > 0;
    if (table && routine?.definer && !routine.extension && isWritten) yield { routine, trigger, table: table.name };
  }
}

/** A rule about functions of the engine that a tenant's role can call. */
function engineRule(rule: Omit<CheckedRule<Subject>, "find">, names: readonly string[]): CheckedRule<Subject> {
  return {
    ...rule,
    *find(subject) {
      for (const routine of subject.callable(names)) yield callable(subject, routine, subject.calls(routine));
    },
  };
}

function callable(subject: Subject, routine: Routine, grants: readonly Grant[]): Found {
  const detail = `${holders(subject, grants)} may call it.`;
  return { object: `function ${routine.name}`, detail, fix: revoke(subject, `routine ${routine.name}`, grants) };
}

function isPinned({ settings }: Routine): boolean {
  return settings.some((setting) => setting.startsWith("search_path="));
}

/** Rules about functions: they carry somebody else's rights, or reach past rows. */
export const ROUTINE_RULES: readonly CheckedRule<Subject>[] = [
  {
    id: "FH136",
    name: "definer-search-path",
    severity: "error",
    means: "A SECURITY DEFINER function has no search path of its own: the caller decides which tables and functions its names mean.",
    *find(subject) {
      const called = [...definers(subject), ...firing(subject)].map(({ routine }) => routine);
      for (const routine of new Set(called)) {
        if (isPinned(routine)) continue;
        const schema = subject.catalog.schemas.find(({ id }) => id === routine.schema)?.name ?? "public";
        const fix = [`alter routine ${routine.name} set search_path = pg_catalog, ${schema}, pg_temp`];
        yield { object: `function ${routine.name}`, detail: "It resolves names by the caller's search path.", fix };
      }
    },
  },
  {
    id: "FH137",
    name: "definer-bypasses",
    severity: "error",
    means: "A tenant's role can call a function that runs as a superuser or as a role with BYPASSRLS.",
    *find(subject) {
      for (const { routine, grants } of definers(subject)) {
        if (!subject.isPowerful(routine.owner)) continue;
        yield { ...callable(subject, routine, grants), detail: `It runs as ${subject.roleName(routine.owner)}.` };
      }
    },
  },
  {
    id: "FH138",
    name: "definer-of-platform",
    severity: "error",
    means: "A tenant's role can call a function that runs as a role of the platform, which sees all tenants.",
    *find(subject) {
      for (const { routine, grants } of definers(subject)) {
        const isContext = subject.manifest.contextFunctions.includes(routine.plain);
        if (!subject.platform.has(routine.owner) || isContext || subject.isPowerful(routine.owner)) continue;
        yield { ...callable(subject, routine, grants), detail: `It runs as ${subject.roleName(routine.owner)}.` };
      }
    },
  },
  {
    id: "FH139",
    name: "function-leakproof",
    severity: "warning",
    means: "A function is marked leakproof: the engine calls it with rows of other tenants, before the policy has refused them.",
    *find(subject) {
      for (const routine of subject.catalog.routines) {
        if (!routine.leakproof || routine.extension) continue;
        const detail = "It runs before policies do; an error or a notice from it shows what it was given.";
        yield { object: `function ${routine.name}`, detail, fix: [`alter function ${routine.name} not leakproof`] };
      }
    },
  },
  engineRule(
    {
      id: "FH141",
      name: "large-objects-callable",
      severity: "error",
      means: "A tenant's role can use large objects: they are outside tables and policies, and numbered for all tenants.",
    },
    NOTABLE_FUNCTIONS.largeObjects,
  ),
  engineRule(
    {
      id: "FH142",
      name: "shared-signals-callable",
      severity: "warning",
      means:
        "A tenant's role can notify and take advisory locks: both are one for the whole database, so one tenant can imitate or block another.",
    },
    NOTABLE_FUNCTIONS.shared,
  ),
  engineRule(
    {
      id: "FH143",
      name: "sessions-callable",
      severity: "error",
      means: "A tenant's role can see or end other sessions: the statements of other tenants run under the same role.",
    },
    NOTABLE_FUNCTIONS.sessions,
  ),
  {
    id: "FH144",
    name: "dblink-callable",
    severity: "error",
    means: "A tenant's role can call dblink: a connection of its own, as another role and with no tenant.",
    *find(subject) {
      for (const routine of subject.catalog.routines) {
        if (!routine.extension || !routine.plain.includes(".dblink")) continue;
        const grants = subject.calls(routine);
        if (grants.length > 0) yield callable(subject, routine, grants);
      }
    },
  },
  {
    id: "FH146",
    name: "untrusted-language",
    severity: "error",
    means: "A tenant's role can call a function in an untrusted language: it does what the server's process may do.",
    *find(subject) {
      for (const routine of subject.catalog.routines) {
        const grants = routine.trusted || routine.trigger ? [] : subject.calls(routine);
        if (grants.length > 0) yield { ...callable(subject, routine, grants), detail: `It is written in ${routine.language}.` };
      }
    },
  },
  {
    id: "FH158",
    name: "trigger-bypasses",
    severity: "error",
    means: "A trigger on a table that tenants write runs as a role that sees all tenants: its statements reach every tenant's rows.",
    *find(subject) {
      for (const { routine, trigger, table } of firing(subject)) {
        if (!subject.isPowerful(routine.owner)) continue;
        const owner = subject.roleName(routine.owner);
        const fix = [`alter function ${routine.name} security invoker`];
        yield { object: `trigger ${trigger.name} on ${table}`, detail: `${routine.name} runs as ${owner}.`, fix };
      }
    },
  },
  engineRule(
    {
      id: "FH168",
      name: "server-files-callable",
      severity: "error",
      means: "A tenant's role can read files of the server: the tables of all tenants are files.",
    },
    NOTABLE_FUNCTIONS.files,
  ),
  engineRule(
    {
      id: "FH169",
      name: "sql-from-text-callable",
      severity: "warning",
      means: "A tenant's role can call functions that run SQL out of a text: what a statement may be is then decided inside an expression.",
    },
    NOTABLE_FUNCTIONS.textual,
  ),
];
