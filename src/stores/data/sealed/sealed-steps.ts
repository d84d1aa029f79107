import { checkColumn, checkSealedKey, statementsOf } from "../tables/check-step.ts";
import type { TableDefinition, TableStep } from "../tables/define-tables.ts";
import type { SealedTable, SealedTables } from "./sealed-tables.ts";

const TABLE = /^(?:alter table (?:only )?|update |create (?:unique )?index (?:if not exists )?(?:\w+ )?on (?:only )?)(\w+)/;
const DROPPED_TABLES = /^drop table (?:if exists )?(.*)/;
const DROPPED_COLUMN = /\bdrop (?!constraint\b|default\b|not\b|expression\b|identity\b)(?:column )?(?:if exists )?"?(\w+)"?/g;
const CHANGED_COLUMN = /\balter (?!table\b)|\brename\b/;

/**
 * Which columns are sealed, step by step. A step is refused when its SQL would make sealed values unreadable, which are bound to table, column and
 * key, or would put them where they are of no use.
 */
export class SealedSteps {
  readonly #made = new Map<string, TableDefinition>();
  readonly #sealed = new Map<string, SealedTable>();

  /** The sealed tables after the steps so far. */
  get tables(): SealedTables {
    return this.#sealed;
  }

  /** Takes in the next step. Throws what is wrong with it. */
  take({ create = {}, seal = {}, expand = "", contract = "" }: TableStep): void {
    for (const [table, definition] of Object.entries(create)) {
      this.#made.set(table, definition);
      if (definition.sealed) this.#sealed.set(table, { columns: definition.sealed, key: definition.key });
    }
    for (const [table, columns] of Object.entries(seal)) this.#seal(table, columns);
    for (const statement of [...statementsOf(expand), ...statementsOf(contract)]) this.#follow(statement);
  }

  #seal(table: string, columns: readonly string[]): void {
    const made = this.#made.get(table);
    if (!made) throw new Error(`${table} is made by no step up to this one, so no column can be sealed in it`);
    const there = this.#sealed.get(table)?.columns ?? [];
    for (const part of made.key) checkSealedKey(table, part, made.columns[part] ?? "");
    for (const column of columns) {
      checkColumn(table, column, "bytea");
      if (column in made.columns || there.includes(column))
        throw new Error(`${table}.${column} is there already: what is sealed begins in a column of its own`);
    }
    this.#sealed.set(table, { columns: [...there, ...columns], key: made.key });
  }

  #follow(statement: string): void {
    for (const table of DROPPED_TABLES.exec(statement)?.[1]?.match(/\w+/g) ?? []) this.#sealed.delete(table);
    const table = TABLE.exec(statement)?.[1] ?? "";
    const sealed = this.#sealed.get(table);
    if (!sealed) return;
    if (statement.startsWith("alter")) this.#alter(table, sealed, statement);
    else if (statement.startsWith("update")) checkUpdate(table, sealed, statement);
    else if (mentions(statement, sealed.columns)) throw new Error(`"${statement.slice(0, 60)}": no index can use a sealed column`);
  }

  #alter(table: string, { columns, key }: SealedTable, statement: string): void {
    const dropped = [...statement.matchAll(DROPPED_COLUMN)].map(([, column = ""]) => column);
    const rest = statement.replaceAll(DROPPED_COLUMN, "");
    const unbinds = dropped.some((column) => key.includes(column)) || (mentions(rest, key) && CHANGED_COLUMN.test(rest));
    if (unbinds || mentions(rest, columns) || /\brename to\b/.test(rest) || mentions(rest, [`${table}_pkey`]))
      throw unreadable(table, statement);
    const left = columns.filter((column) => !dropped.includes(column));
    if (left.length > 0) this.#sealed.set(table, { columns: left, key });
    else this.#sealed.delete(table);
  }
}

/** A sealed column takes nothing but null of a step, and the key of its rows nothing at all. */
function checkUpdate(table: string, { columns, key }: SealedTable, statement: string): void {
  const [assignments = ""] = bare(statement.slice(statement.indexOf(" set ") + 5)).split(/ (?:where|from|returning) /);
  for (const assignment of assignments.split(",")) {
    const [target = "", value = ""] = assignment.split("=").map((side) => side.trim());
    if (target.startsWith("(")) throw new Error(`"${statement.slice(0, 60)}": name one column at a time in a table with sealed columns`);
    if (mentions(target, key) || (mentions(target, columns) && value !== "null")) throw unreadable(table, statement);
  }
}

/** The statement without what is in quotes and parentheses. */
function bare(statement: string): string {
  let text = statement.replaceAll(/'(?:[^']|'')*'/g, "''");
  for (let before = ""; before !== text;) [before, text] = [text, text.replaceAll(/\([^()]+\)/g, "()")];
  return text;
}

function mentions(text: string, names: readonly string[]): boolean {
  return names.some((name) => new RegExp(`\\b${name}\\b`).test(text));
}

function unreadable(table: string, statement: string): Error {
  return new Error(
    `"${statement.slice(0, 60)}": what is sealed in ${table} is bound to the names of table, column and key, and would not open any more; drop a sealed column, or make another`,
  );
}
