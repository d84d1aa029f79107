import { createHash } from "node:crypto";
import { Fault } from "../../../kernel/index.ts";
import { SealedSteps } from "../sealed/sealed-steps.ts";
import type { SealedTables } from "../sealed/sealed-tables.ts";
import { checkColumn, checkName, checkSealed, checkSealedKey, checkStatements } from "./check-step.ts";
import { createTableSql, sealColumnsSql, type TableTarget } from "./table-sql.ts";

/** A reference to a row of the same tenant. */
export interface TableReference {
  /** The columns here, in the order of the other table's key. */
  readonly columns: readonly string[];
  readonly table: string;
  readonly onDelete?: "cascade" | "restrict" | "set null";
}

/** A column that is searched through an index which row security would otherwise keep out of use. */
export interface TableSearch {
  readonly column: string;
  /** `text`: a `tsvector`, found with `@@`. `json`: a `jsonb`, found with `@>`. */
  readonly by: "text" | "json";
}

/** One table as an application declares it: without the tenant, which the platform adds to it, its keys, references and indexes. */
export interface TableDefinition {
  /** Name -> type and constraints of the column, for example `text not null default ''`. */
  readonly columns: Readonly<Record<string, string>>;
  readonly key: readonly string[];
  readonly unique?: readonly (readonly string[])[];
  readonly references?: readonly TableReference[];
  readonly indexes?: readonly (readonly string[])[];
  /**
   * Columns, of the type bytea, whose values are sealed with the tenant's own key. `scope.data.db` takes and gives text in them; the database takes
   * nothing else than sealed values.
   */
  readonly sealed?: readonly string[];
  /** Name -> what is searched. `search_<table>_<name>(question, most)` gives the tenant's rows. */
  readonly search?: Readonly<Record<string, TableSearch>>;
}

/** One step of an application's tables. Never changed once it has been applied anywhere. */
export interface TableStep {
  readonly name: string;
  readonly create?: Readonly<Record<string, TableDefinition>>;
  /** Sealed columns that are added to tables of earlier steps, by table. They may be null. Programs of the version before go on working. */
  readonly seal?: Readonly<Record<string, readonly string[]>>;
  /** SQL that only adds, so that programs of the version before go on working: ALTER TABLE … ADD, CREATE INDEX, UPDATE. Unqualified names. */
  readonly expand?: string;
  /** SQL that takes away what only programs of older versions use. Applied on demand, once none of them runs any more. */
  readonly contract?: string;
}

/** A step with its place in the order and the digest by which it is known. */
export interface NumberedStep {
  readonly version: number;
  readonly name: string;
  readonly digest: string;
  readonly contracts: boolean;
  /** The SQL for one home. */
  sql(target: TableTarget): string;
}

/** All tables of an application, as the steps that make them. */
export interface TableSet {
  readonly steps: readonly NumberedStep[];
  /** Stands for the steps up to this version and their order. */
  digestAt(version: number): string;
  readonly sealed: SealedTables;
}

/**
 * Declares an application's tables in one place: the same declaration serves shared rows, schemas and databases. Throws
 * `invalid_settings` with the step and what is wrong there.
 */
export function defineTables(steps: readonly TableStep[]): TableSet {
  const sealed = new SealedSteps();
  const numbered = steps.map((step, at) => toNumbered(step, at + 1, sealed));
  const digests = [""];
  for (const { digest } of numbered) digests.push(hash(`${digests.at(-1) ?? ""} ${digest}`));
  return Object.freeze({ steps: numbered, digestAt: (version: number) => digests[version] ?? "", sealed: sealed.tables });
}

/** The tables of an application that has none. */
export const NO_TABLES: TableSet = defineTables([]);

function toNumbered(step: TableStep, version: number, sealed: SealedSteps): NumberedStep {
  try {
    checkStep(step);
    sealed.take(step);
  } catch (error) {
    const detail = `Tables, step ${version} (${step.name}): ${error instanceof Error ? error.message : String(error)}`;
    throw new Fault("invalid_settings", detail, { cause: error, public: { detail } });
  }
  const { name, create = {}, seal = {}, expand = "", contract = "" } = step;
  const parts = [name, create, expand, contract, ...(Object.keys(seal).length > 0 ? [seal] : [])];
  return Object.freeze({
    version,
    name,
    digest: hash(JSON.stringify(parts)),
    contracts: contract !== "",
    sql: (target: TableTarget) =>
      [
        ...Object.entries(create).map(([table, definition]) => createTableSql(table, definition, target)),
        ...(Object.keys(create).length > 0 ? [target.made.trim().replace(/;$/, "")] : []),
        ...Object.entries(seal).map(([table, columns]) => sealColumnsSql(table, columns, target)),
        expand,
        contract,
      ].join(";\n"),
  });
}

function checkStep({ name, create = {}, seal = {}, expand = "", contract = "" }: TableStep): void {
  if (!/^[a-z0-9][a-z0-9-]{0,62}$/.test(name)) throw new Error("a step's name is made of a-z, 0-9 and hyphens");
  if (contract !== "" && (expand !== "" || Object.keys({ ...create, ...seal }).length > 0)) {
    throw new Error("what takes away is a step of its own, so that it can wait until no older program runs");
  }
  for (const [table, definition] of Object.entries(create)) checkTable(table, definition);
  checkStatements(expand, "expand");
  checkStatements(contract, "contract");
}

function checkTable(
  table: string,
  { columns, key, unique = [], references = [], indexes = [], search = {}, sealed = [] }: TableDefinition,
): void {
  checkName(table, "table");
  for (const [column, type] of Object.entries(columns)) checkColumn(table, column, type);
  if (key.length === 0) throw new Error(`${table} has no key`);
  const used = [
    key,
    ...unique,
    ...indexes,
    ...references.map((reference) => reference.columns),
    Object.values(search).map((one) => one.column),
  ];
  for (const column of [...used.flat(), ...sealed]) if (!(column in columns)) throw new Error(`${table} has no column ${column}`);
  for (const column of sealed) checkSealed(table, column, columns[column] ?? "", used.flat());
  if (sealed.length > 0) for (const column of key) checkSealedKey(table, column, columns[column] ?? "");
  for (const reference of references) checkName(reference.table, "table");
  for (const name of Object.keys(search)) checkName(name, "search");
}

function hash(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}
