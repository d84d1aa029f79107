import type { Grant, Relation } from "./catalog.ts";
import type { Subject } from "./subject.ts";

/** A name as SQL says it. */
export function identifier(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

/** SQL that takes these rights on an object from who has them, one statement per role. */
export function revoke(subject: Subject, on: string, grants: readonly Grant[]): readonly string[] {
  const byGrantee = Map.groupBy(grants, ({ grantee }) => grantee);
  return [...byGrantee].map(([grantee, held]) => {
    const rights = held.map(({ privilege, column }) => privilege.toLowerCase() + (column === null ? "" : ` (${identifier(column)})`));
    return `revoke ${[...new Set(rights)].join(", ")} on ${on} from ${subject.roleName(grantee)}`;
  });
}

/** How grants on a relation are spoken of: `table`, which the engine takes for views too, or `sequence`. */
export function nounOf({ kind }: Pick<Relation, "kind">): "table" | "sequence" {
  return kind === "S" ? "sequence" : "table";
}

/** The relation as findings name it. */
export function objectOf(relation: Relation): string {
  const nouns = { r: "table", p: "table", v: "view", m: "materialized view", f: "foreign table", S: "sequence" } as const;
  return `${nouns[relation.kind]} ${relation.name}`;
}

/** Who has the rights, for people. */
export function holders(subject: Subject, grants: readonly Grant[]): string {
  return [...new Set(grants.map(({ grantee }) => (grantee === "0" ? "PUBLIC" : subject.roleName(grantee))))].join(", ");
}

/** The condition that holds a row to the tenant in force, by the manifest's own function or by a setting that may be missing. */
export function tenantCondition(subject: Subject, type: string): string {
  const column = identifier(subject.manifest.tenantColumn);
  const [context] = subject.manifest.contextFunctions;
  const value = context === undefined ? `(select nullif(current_setting('app.tenant_id', true), '')::${type})` : `${context}()`;
  return `${column} = ${value}`;
}

/** SQL that gives a table or schema to a role that nobody can be, made where it is missing. */
export function giveAway(subject: Subject, what: string): readonly string[] {
  const owner = `${subject.catalog.database.plain}_owner`;
  return [
    `do $$ begin if to_regrole('${identifier(owner).replaceAll("'", "''")}') is null then create role ${identifier(owner)} nologin; end if; end $$`,
    `alter ${what} owner to ${identifier(owner)}`,
  ];
}
