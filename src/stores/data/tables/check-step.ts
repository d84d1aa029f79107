import { PLATFORM_TABLES } from "../migrations/platform-tables.ts";

/** A tenant's home has these too: a name without a schema would mean one or the other. */
const TAKEN: ReadonlySet<string> = new Set(PLATFORM_TABLES);

const NAME = /^[a-z][a-z0-9_]{0,39}$/;
const SQL_WORDS: ReadonlySet<string> = new Set(
  "all and any array as asc both case cast check collate column constraint create default desc distinct do else end except false fetch for foreign from grant group having in initially intersect into leading limit not null offset on only or order placing primary references returning select some symmetric table then to trailing true union unique user using variadic when where window with".split(
    " ",
  ),
);

/** What a step may consist of besides the tables that it declares. */
const STATEMENTS = {
  expand: /^(?:alter table (?:only )?\w+ add (?:column |constraint )|create (?:unique )?index |update \w+ set )/,
  contract:
    /^(?:alter table (?:only )?\w+ (?:drop|alter|add constraint|rename)|drop index |drop table |create (?:unique )?index |update \w+ set |delete from )/,
} as const;

/** What would take a table from under its tenant, or make it behave on its own. */
const FORBIDDEN =
  /\btenant_id\b.*\b(?:drop|type|default)\b|\bconstraint (?:if exists )?"?(?:\w+ to "?)?sealed_|\b(?:security|policy|trigger|owner|inherit|definer|grant|revoke|role)\b|freehold|\$\$|--|\/\*/;

/** Throws unless it is a name that needs no quoting and that nothing else has. */
export function checkName(name: string, what: string): void {
  if (!NAME.test(name) || SQL_WORDS.has(name) || name.startsWith("pg_"))
    throw new Error(`${name} is no name for a ${what}: use a-z, 0-9 and _`);
  if (TAKEN.has(name)) throw new Error(`${name} is a table of the platform: choose another name`);
}

/** Throws unless the column can be added to a table of tenants. */
export function checkColumn(table: string, column: string, type: string): void {
  if (column === "tenant_id") throw new Error(`${table} has the column tenant_id already: the platform adds it`);
  if (!NAME.test(column) || SQL_WORDS.has(column)) throw new Error(`${column} is no name for a column: use a-z, 0-9 and _`);
  if (/\b(?:references|primary key|unique)\b/i.test(type))
    throw new Error(`${table}.${column}: keys and references are declared for the table`);
  if (/serial\b|\bidentity\b/i.test(type))
    throw new Error(`${table}.${column}: numbers of a sequence are shared by all tenants; use uuidv7() or gen_random_uuid()`);
  if (type.includes(";") || FORBIDDEN.test(type.toLowerCase())) throw new Error(`${table}.${column}: this is not a column's type`);
}

/** Throws unless the column can be sealed. */
export function checkSealed(table: string, column: string, type: string, used: readonly string[]): void {
  if (!/^bytea(?: not null)?$/i.test(type)) throw new Error(`${table}.${column} is sealed, so its type is bytea or bytea not null`);
  if (used.includes(column)) throw new Error(`${table}.${column} is sealed: no key, reference, index or search can use it`);
}

/** Throws unless the column can be part of the key that sealed values are bound to. */
export function checkSealedKey(table: string, column: string, type: string): void {
  if (/^(?:text|uuid|integer|bigint|smallint)\b/i.test(type)) return;
  throw new Error(`${table}.${column}: the key of a table with sealed columns is made of text, uuid and whole numbers`);
}

/** The statements of a text, in small letters and with single spaces. */
export function statementsOf(text: string): readonly string[] {
  const all = text.split(";").map((statement) => statement.trim().replaceAll(/\s+/g, " ").toLowerCase());
  return all.filter((statement) => statement !== "");
}

/** Throws unless each statement of the text is one that this kind of step may have. */
export function checkStatements(text: string, kind: keyof typeof STATEMENTS): void {
  for (const plain of statementsOf(text)) {
    if (FORBIDDEN.test(plain))
      throw new Error(`"${plain.slice(0, 60)}" is not for a step: tenants, rights and policies are the platform's`);
    if (!STATEMENTS[kind].test(plain)) {
      const hint = kind === "expand" ? "a step that only adds; what takes away or changes belongs in `contract`" : "`contract`";
      throw new Error(`"${plain.slice(0, 60)}" does not belong in ${hint}`);
    }
    if (kind === "expand" && /\bnot null\b/.test(plain) && plain.startsWith("alter") && !/\bdefault\b/.test(plain)) {
      throw new Error(`"${plain.slice(0, 60)}": older programs do not fill this column, so it needs a default or may be null`);
    }
    if (
      /\bunique\b/.test(plain) &&
      !/unique (?:index )?(?:if not exists )?\w* ?(?:on (?:only )?\w+ ?(?:using btree ?)?)?\( ?tenant_id\b/.test(plain)
    ) {
      throw new Error(`"${plain.slice(0, 60)}": what is unique is unique in one tenant, so it begins with tenant_id`);
    }
  }
}
