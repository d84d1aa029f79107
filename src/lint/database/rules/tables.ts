import type { CheckedRule, Found } from "../../rule.ts";
import type { Relation } from "../catalog.ts";
import { giveAway, holders, identifier, objectOf, revoke } from "../sql-text.ts";
import type { Subject } from "../subject.ts";

const WRITES = ["INSERT", "UPDATE", "DELETE", "TRUNCATE"] as const;

/** Tables that hold rows of tenants and have the column: partitions are judged by the rights on them. */
function* whole(subject: Subject): Iterable<Relation> {
  for (const table of subject.tenantTables) if (table.parents.length === 0 && subject.tenantColumn(table.id)) yield table;
}

/** Each table of this kind that tenants' roles reach. */
function* reached(subject: Subject, kind: ReturnType<Subject["kindOf"]>, privileges?: readonly string[]): Iterable<Found> {
  for (const table of subject.tables()) {
    if (subject.kindOf(table) !== kind) continue;
    const grants = subject.reach(table, privileges);
    if (grants.length === 0) continue;
    const rights = [...new Set(grants.map(({ privilege }) => privilege))].join(", ");
    yield {
      object: objectOf(table),
      detail: `${holders(subject, grants)} may ${rights}.`,
      fix: revoke(subject, `table ${table.name}`, grants),
    };
  }
}

/** Rules about whose a table is and whether its rows are under row security. */
export const TABLE_RULES: readonly CheckedRule<Subject>[] = [
  {
    id: "FH101",
    name: "row-security-off",
    severity: "error",
    means: "A tenant table has no row security: every statement sees the rows of all tenants.",
    *find(subject) {
      for (const table of whole(subject)) {
        if (table.rowSecurity) continue;
        yield {
          object: objectOf(table),
          detail: "Row security is not enabled.",
          fix: [`alter table ${table.name} enable row level security`],
        };
      }
    },
  },
  {
    id: "FH102",
    name: "row-security-not-forced",
    severity: "error",
    means: "Row security is on but not forced: the table's owner, and all that runs as it, sees all tenants.",
    *find(subject) {
      for (const table of whole(subject)) {
        if (!table.rowSecurity || table.forced) continue;
        const detail = `The owner ${subject.roleName(table.owner)} is not held to the policies.`;
        yield { object: objectOf(table), detail, fix: [`alter table ${table.name} force row level security`] };
      }
    },
  },
  {
    id: "FH115",
    name: "tenant-nullable",
    severity: "error",
    means: "The tenant's column may be null: a row of nobody escapes erase, export and every unique key.",
    *find(subject) {
      for (const table of whole(subject)) {
        const column = subject.tenantColumn(table.id);
        if (!column || column.required) continue;
        const fix = [`alter table ${table.name} alter column ${identifier(column.name)} set not null`];
        yield { object: `column ${table.name}.${column.name}`, detail: "It is nullable.", fix };
      }
    },
  },
  {
    id: "FH116",
    name: "tenant-column-missing",
    severity: "error",
    means: "A table that the manifest lists as a tenant's has no tenant column, so nothing can hold its rows apart.",
    *find(subject) {
      for (const table of subject.tenantTables) {
        const grants = subject.reach(table);
        if (subject.tenantColumn(table.id) || grants.length === 0) continue;
        const detail = `There is no column ${subject.manifest.tenantColumn}, and ${holders(subject, grants)} can reach it. Until it has one, nobody should.`;
        yield { object: objectOf(table), detail, fix: revoke(subject, `table ${table.name}`, grants) };
      }
    },
  },
  {
    id: "FH117",
    name: "table-unlisted",
    severity: "error",
    means: "A tenant's role reaches a table that is nobody's: no tenant column, or no entry in the manifest's lists.",
    find: (subject) => reached(subject, "unlisted"),
  },
  {
    id: "FH118",
    name: "platform-table-reachable",
    severity: "error",
    means: "A tenant's role reaches a table of the platform itself, with the rows of everybody.",
    find: (subject) => reached(subject, "platform"),
  },
  {
    id: "FH119",
    name: "shared-table-writable",
    severity: "error",
    means: "A tenant's role can write reference data that all other tenants read.",
    find: (subject) => reached(subject, "shared", WRITES),
  },
  {
    id: "FH123",
    name: "partition-reachable",
    severity: "error",
    means: "A partition or child of a tenant table can be addressed by itself: the parent's policies do not hold there.",
    *find(subject) {
      for (const table of subject.tenantTables) {
        const grants = subject.reach(table);
        if (table.parents.length === 0 || grants.length === 0 || (table.rowSecurity && table.forced)) continue;
        const parent = subject.relation(table.parents[0] ?? "")?.name ?? "its parent";
        const detail = `${holders(subject, grants)} can reach it beside ${parent}.`;
        yield { object: objectOf(table), detail, fix: revoke(subject, `table ${table.name}`, grants) };
      }
    },
  },
  {
    id: "FH163",
    name: "tenant-by-default",
    severity: "error",
    means: "The tenant's column has a constant default: a row whose tenant was forgotten becomes that tenant's.",
    *find(subject) {
      for (const table of whole(subject)) {
        const column = subject.tenantColumn(table.id);
        if (!column?.default || !/^(?:'[^']*'|\d+)(?:::[\w ]+)?$/.test(column.default)) continue;
        const fix = [`alter table ${table.name} alter column ${identifier(column.name)} drop default`];
        yield { object: `column ${table.name}.${column.name}`, detail: `Its default is ${column.default}.`, fix };
      }
    },
  },
  {
    id: "FH164",
    name: "tenant-empty-allowed",
    severity: "warning",
    means: "The tenant's column is text that may be empty: a setting that was left empty names that row's tenant.",
    *find(subject) {
      for (const table of whole(subject)) {
        const column = subject.tenantColumn(table.id);
        if (!column || !/^(?:text|character varying|character|citext)/.test(column.type)) continue;
        const isChecked = subject.catalog.checks.some(
          ({ relation, definition }) => relation === table.id && definition.includes(column.name) && /<> ''|length|~/.test(definition),
        );
        if (isChecked) continue;
        const fix = [`alter table ${table.name} add check (${identifier(column.name)} <> '')`];
        yield { object: `column ${table.name}.${column.name}`, detail: "No check keeps the empty text out.", fix };
      }
    },
  },
  {
    id: "FH166",
    name: "table-owner-bypasses",
    severity: "warning",
    means: "A tenant table belongs to a superuser or a role with BYPASSRLS: forcing row security does not hold its owner.",
    *find(subject) {
      for (const table of whole(subject)) {
        if (!subject.isPowerful(table.owner)) continue;
        const fix = giveAway(subject, `table ${table.name}`);
        yield { object: objectOf(table), detail: `Its owner is ${subject.roleName(table.owner)}.`, fix };
      }
    },
  },
  {
    id: "FH172",
    name: "sealed-column-in-clear",
    severity: "error",
    means: "A column that is to hold sealed values only takes clear text as well: whoever reads the table or a backup of it reads that.",
    *find(subject) {
      for (const { table, column } of subject.sealedColumns()) {
        const checks = subject.checksOf(table.id).filter((check) => new RegExp(`get_byte\\(\\(?"?${column.name}"?`).test(check));
        if (column.type === "bytea" && checks.length > 0) continue;
        const name = identifier(column.name);
        const detail =
          column.type === "bytea" ? "No check keeps clear text out of it." : `Its type is ${column.type}: a sealed value is bytea.`;
        const check = `alter table ${table.name} add check (length(${name}) >= 49 and get_byte(${name}, 0) = 1)`;
        const fix = column.type === "bytea" ? [check] : [`alter table ${table.name} add column ${name}_sealed bytea`];
        yield { object: `column ${table.name}.${column.name}`, detail, fix };
      }
    },
  },
];
