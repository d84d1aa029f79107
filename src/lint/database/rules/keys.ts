import type { CheckedRule } from "../../rule.ts";
import type { ForeignKey, Relation, UniqueIndex } from "../catalog.ts";
import { identifier } from "../sql-text.ts";
import type { Subject } from "../subject.ts";

function* unled(subject: Subject, isOfKind: (index: UniqueIndex) => boolean): Iterable<UniqueIndex & { readonly table: string }> {
  for (const index of subject.catalog.indexes) {
    const table = subject.relation(index.relation);
    const column = subject.tenantColumn(index.relation);
    if (!table || !column || subject.kindOf(table) !== "tenant" || !isOfKind(index)) continue;
    const isLed = index.exclusion ? index.keys.includes(column.position) : index.keys[0] === column.position;
    if (!isLed) yield { ...index, table: table.name };
  }
}

/** SQL that makes the index again with the tenant in front. What already refers to it has to be changed first: then the engine refuses. */
function led(subject: Subject, index: UniqueIndex & { readonly table: string }): readonly string[] {
  const column = identifier(subject.manifest.tenantColumn);
  if (index.constraint === null || index.constraintDefinition === null) {
    return [`drop index ${index.name}`, index.definition.replace(/(USING \w+ \()/, `$1${column}, `)];
  }
  const names = index.keys.map((position) => subject.columns(index.relation).find((each) => each.position === position)?.name ?? "");
  const rest = names.filter((name) => name !== subject.manifest.tenantColumn).map(identifier);
  const made = index.exclusion
    ? index.constraintDefinition.replace(/(USING \w+ \()/, `$1${column} with =, `)
    : `${index.primary ? "primary key" : "unique"} (${[column, ...rest].join(", ")})`;
  return [
    `alter table ${index.table} drop constraint ${index.constraint}`,
    `alter table ${index.table} add constraint ${index.constraint} ${made}`,
  ];
}

/** Whether the key pairs the tenant's column with the tenant's column of the other table. */
function carriesTenant(subject: Subject, key: ForeignKey): boolean {
  const own = subject.tenantColumn(key.relation)?.position;
  const other = subject.tenantColumn(key.target)?.position;
  return key.keys.some((position, at) => position === own && key.targetKeys[at] === other);
}

/** SQL that adds the tenant to both sides. The other side needs a unique key of the same columns, which is made. */
function composite(subject: Subject, key: ForeignKey, table: string, { name: target, plain }: Relation): readonly string[] {
  const tenant = identifier(subject.manifest.tenantColumn);
  const names = (relation: string, positions: readonly number[]): string =>
    positions.map((each) => identifier(subject.columns(relation).find(({ position }) => position === each)?.name ?? "")).join(", ");
  const theirs = names(key.target, key.targetKeys);
  const actions = key.definition.slice(key.definition.indexOf(")", key.definition.indexOf("REFERENCES")) + 1);
  return [
    `alter table ${table} drop constraint ${key.name}`,
    `create unique index if not exists ${identifier(`${plain.slice(plain.indexOf(".") + 1)}_of_tenant`)} on ${target} (${tenant}, ${theirs})`,
    `alter table ${table} add constraint ${key.name} foreign key (${tenant}, ${names(key.relation, key.keys)}) references ${target} (${tenant}, ${theirs})${actions}`,
  ];
}

/** Rules about keys: the engine enforces them beside row security, over the rows of all tenants. */
export const KEY_RULES: readonly CheckedRule<Subject>[] = [
  {
    id: "FH120",
    name: "primary-key-not-led-by-tenant",
    severity: "error",
    means: "A primary key of a tenant table does not begin with the tenant: a taken id tells that somebody else has it.",
    *find(subject) {
      for (const index of unled(subject, ({ primary }) => primary))
        yield { object: `primary key of ${index.table}`, detail: `${index.definition}.`, fix: led(subject, index) };
    },
  },
  {
    id: "FH121",
    name: "unique-not-led-by-tenant",
    severity: "error",
    means: "A unique or exclusion key of a tenant table is over all tenants: an insert tells what others have.",
    *find(subject) {
      for (const index of unled(subject, ({ primary }) => !primary))
        yield { object: `index ${index.name}`, detail: `${index.constraintDefinition ?? index.definition}.`, fix: led(subject, index) };
    },
  },
  {
    id: "FH122",
    name: "foreign-key-without-tenant",
    severity: "error",
    means: "A foreign key between tenant tables leaves the tenant out: rows can refer to another tenant's, and a delete reaches them.",
    *find(subject) {
      for (const key of subject.catalog.foreignKeys) {
        const [table, target] = [subject.relation(key.relation), subject.relation(key.target)];
        if (!table || !target || subject.kindOf(target) !== "tenant" || carriesTenant(subject, key)) continue;
        const isOfTenant = subject.kindOf(table) === "tenant" && subject.tenantColumn(key.relation) && subject.tenantColumn(key.target);
        const fix = isOfTenant ? composite(subject, key, table.name, target) : [`alter table ${table.name} drop constraint ${key.name}`];
        yield { object: `foreign key ${key.name} of ${table.name}`, detail: `${key.definition}.`, fix };
      }
    },
  },
];
