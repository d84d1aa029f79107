import type { CheckedRule } from "../../rule.ts";
import type { Grant, Relation } from "../catalog.ts";
import { PUBLIC } from "../catalog.ts";
import { holders, identifier, nounOf, objectOf, revoke } from "../sql-text.ts";
import type { Subject } from "../subject.ts";

/** A rule about one right on tables that goes round row security. */
function rightRule(id: CheckedRule<Subject>["id"], name: string, privilege: string, means: string): CheckedRule<Subject> {
  return {
    id,
    name,
    severity: "error",
    means,
    *find(subject) {
      for (const table of subject.tenantTables) {
        const grants = subject.reach(table, [privilege]);
        if (grants.length === 0) continue;
        yield {
          object: objectOf(table),
          detail: `${holders(subject, grants)} may ${privilege}.`,
          fix: revoke(subject, `table ${table.name}`, grants),
        };
      }
    },
  };
}

/** A rule about a right on the database. */
function databaseRule(rule: Omit<CheckedRule<Subject>, "find">, privilege: string, only?: typeof PUBLIC): CheckedRule<Subject> {
  return {
    ...rule,
    *find(subject) {
      const { id, name } = subject.catalog.database;
      const grants = subject.granted("database", id, [privilege]).filter(({ grantee }) => only === undefined || grantee === only);
      if (grants.length === 0) return;
      const detail = `${holders(subject, grants)} may ${privilege}.`;
      yield { object: `database ${name}`, detail, fix: revoke(subject, `database ${name}`, grants) };
    },
  };
}

function* toPublic(
  subject: Subject,
  kind: "relation" | "column",
): Iterable<{ readonly table: Relation; readonly grants: readonly Grant[] }> {
  for (const table of subject.tables()) {
    if (subject.kindOf(table) !== "tenant" || !subject.mayEnter(table.schema)) continue;
    const grants = subject.grants(kind, table.id).filter(({ grantee }) => grantee === PUBLIC);
    if (grants.length > 0) yield { table, grants };
  }
}

/** Rules about rights that reach further than rows. */
export const PRIVILEGE_RULES: readonly CheckedRule<Subject>[] = [
  rightRule("FH128", "truncate-granted", "TRUNCATE", "TRUNCATE is outside row security: it empties the table for all tenants."),
  rightRule(
    "FH129",
    "references-granted",
    "REFERENCES",
    "REFERENCES lets a role make a foreign key, which tells of every row that there is, whose it may be.",
  ),
  rightRule("FH130", "trigger-granted", "TRIGGER", "TRIGGER lets a role run its own function on the rows of every tenant."),
  rightRule(
    "FH131",
    "maintain-granted",
    "MAINTAIN",
    "MAINTAIN (PostgreSQL 17) lets a tenant's role lock, rewrite and re-index the table of all tenants.",
  ),
  databaseRule(
    {
      id: "FH132",
      name: "temporary-tables",
      severity: "error",
      means: "A tenant's role can make temporary tables: they stay on a pooled connection for the next tenant, in front of the real ones.",
    },
    "TEMPORARY",
  ),
  {
    id: "FH133",
    name: "create-in-schema",
    severity: "error",
    means: "A tenant's role can make things in a schema: functions and tables that others then take for their own.",
    *find(subject) {
      for (const schema of subject.catalog.schemas) {
        const grants = subject.granted("schema", schema.id, ["CREATE"]);
        if (grants.length === 0) continue;
        const detail = `${holders(subject, grants)} may CREATE.`;
        yield { object: `schema ${schema.name}`, detail, fix: revoke(subject, `schema ${schema.name}`, grants) };
      }
    },
  },
  databaseRule(
    {
      id: "FH134",
      name: "create-in-database",
      severity: "error",
      means: "A tenant's role can make schemas and trusted extensions in the database.",
    },
    "CREATE",
  ),
  {
    id: "FH135",
    name: "public-grant",
    severity: "error",
    means: "PUBLIC has rights on a tenant table: every role of the server has them, also those nobody thinks of.",
    *find(subject) {
      for (const { table, grants } of toPublic(subject, "relation")) {
        const detail = `PUBLIC may ${grants.map(({ privilege }) => privilege).join(", ")}.`;
        yield { object: objectOf(table), detail, fix: revoke(subject, `table ${table.name}`, grants) };
      }
    },
  },
  {
    id: "FH162",
    name: "public-column-grant",
    severity: "error",
    means: "PUBLIC has rights on single columns of a tenant table, which no list of table privileges shows.",
    *find(subject) {
      for (const { table, grants } of toPublic(subject, "column")) {
        for (const grant of grants) {
          const object = `column ${table.name}.${grant.column ?? ""}`;
          yield { object, detail: `PUBLIC may ${grant.privilege}.`, fix: revoke(subject, `table ${table.name}`, [grant]) };
        }
      }
    },
  },
  {
    id: "FH140",
    name: "sequence-reachable",
    severity: "warning",
    means: "A tenant's role can read a sequence that all tenants draw from: it tells how much the others write.",
    *find(subject) {
      for (const sequence of subject.catalog.relations) {
        if (sequence.kind !== "S" || sequence.extension) continue;
        const grants = subject.reach(sequence);
        if (grants.length === 0) continue;
        const detail = `${holders(subject, grants)} may ${grants.map(({ privilege }) => privilege).join(", ")}. An identity column needs no such right.`;
        yield { object: objectOf(sequence), detail, fix: revoke(subject, `${nounOf(sequence)} ${sequence.name}`, grants) };
      }
    },
  },
  {
    id: "FH147",
    name: "default-privileges-public",
    severity: "error",
    means: "Tables that are still to be made will be open to PUBLIC or a tenant's role by default.",
    *find(subject) {
      const defaults = subject.catalog.grants.filter(({ kind, grantee }) => kind === "default" && subject.grantees.has(grantee));
      for (const [place, grants] of Map.groupBy(defaults, ({ object }) => object)) {
        for (const [grantee, held] of Map.groupBy(grants, (grant) => grant.grantee)) {
          const rights = held.map(({ privilege }) => privilege).join(", ");
          yield {
            object: `default privileges of ${place}`,
            detail: `${holders(subject, held)} will have ${rights}.`,
            fix: [`alter default privileges for role ${place} revoke ${rights} on tables from ${subject.roleName(grantee)}`],
          };
        }
      }
    },
  },
  databaseRule(
    {
      id: "FH165",
      name: "public-connect",
      severity: "note",
      means: "PUBLIC may connect to the database: every role of the server can, also that of another application.",
    },
    "CONNECT",
    PUBLIC,
  ),
  {
    id: "FH167",
    name: "parameter-granted",
    severity: "error",
    means: "A tenant's role may set a parameter of the server that others are kept from, such as the one that turns triggers off.",
    *find(subject) {
      const granted = subject.catalog.grants.filter(({ kind, grantee }) => kind === "parameter" && subject.grantees.has(grantee));
      for (const grant of granted) {
        yield {
          object: `parameter ${grant.object}`,
          detail: `${holders(subject, [grant])} may ${grant.privilege}.`,
          fix: [`revoke ${grant.privilege} on parameter ${identifier(grant.object)} from ${subject.roleName(grant.grantee)}`],
        };
      }
    },
  },
];
