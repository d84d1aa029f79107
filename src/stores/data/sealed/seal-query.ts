import {
  AndNode,
  BinaryOperationNode,
  ColumnNode,
  type ColumnUpdateNode,
  type InsertQueryNode,
  type KyselyPlugin,
  OperatorNode,
  type OperationNode,
  ParensNode,
  PrimitiveValueListNode,
  ReferenceNode,
  type RootOperationNode,
  TableNode,
  type UpdateQueryNode,
  ValueListNode,
  ValueNode,
  ValuesNode,
} from "kysely";
import { Fault } from "../../../kernel/index.ts";
import { keyText, type SealedTable, type SealedTables } from "./sealed-tables.ts";

/** A value on its way into a sealed column: it is sealed when the query is sent. */
export class ToBeSealed {
  readonly table: string;
  readonly column: string;
  readonly row: readonly string[];
  readonly text: string;

  constructor(table: string, column: string, row: readonly string[], text: string) {
    this.table = table;
    this.column = column;
    this.row = row;
    this.text = text;
  }
}

/** Marks what inserts and updates put into sealed columns. Throws where it cannot be known for which row a value is. */
export function createSealPlugin(tables: SealedTables): KyselyPlugin {
  return {
    transformQuery: ({ node }) => markQuery(node, tables),
    transformResult: async ({ result }) => result,
  };
}

/** The one table that a query is of, by its own name; nothing for several, or one under another name. */
export function tableOf(node: RootOperationNode): string | undefined {
  switch (node.kind) {
    case "InsertQueryNode":
      return nameOf(node.into);
    case "UpdateQueryNode":
      return node.from || node.joins ? undefined : nameOf(node.table);
    case "SelectQueryNode":
    case "DeleteQueryNode":
      return node.joins || node.from?.froms.length !== 1 ? undefined : nameOf(node.from.froms[0]);
    default:
      return undefined;
  }
}

function markQuery(node: RootOperationNode, tables: SealedTables): RootOperationNode {
  if (node.kind === "MergeQueryNode") return node; // what it puts in clear the database refuses
  const name = node.kind === "InsertQueryNode" ? nameOf(node.into) : node.kind === "UpdateQueryNode" ? nameOf(node.table) : undefined;
  const table = name === undefined ? undefined : tables.get(name);
  if (name === undefined || !table) return node;
  if (node.kind === "InsertQueryNode") return markInsert(node, name, table);
  return node.kind === "UpdateQueryNode" ? markUpdate(node, name, table) : node;
}

function markInsert(node: InsertQueryNode, name: string, table: SealedTable): InsertQueryNode {
  if (node.onConflict?.updates?.some(({ column }) => table.columns.includes(columnOf(column) ?? ""))) {
    throw refused(name, "a conflict cannot put a sealed column: update the row by its key");
  }
  const columns = node.columns?.map((column) => column.column.name) ?? [];
  if (!columns.some((column) => table.columns.includes(column))) return node;
  if (!node.values || !ValuesNode.is(node.values)) throw refused(name, "a sealed column takes values, not the rows of a query");
  const rows = node.values.values.map((row) => {
    const given = PrimitiveValueListNode.is(row) ? row.values : row.values.map((value) => (ValueNode.is(value) ? value.value : value));
    const key = table.key.map((column) => keyText(given[columns.indexOf(column)]) ?? missingKey(name, column));
    const marked = given.map((value, at) => mark(name, columns[at] ?? "", table, key, value));
    if (PrimitiveValueListNode.is(row)) return PrimitiveValueListNode.create(marked);
    return ValueListNode.create(row.values.map((value, at) => (marked[at] === given[at] ? value : ValueNode.create(marked[at]))));
  });
  return { ...node, values: ValuesNode.create(rows) };
}

function markUpdate(node: UpdateQueryNode, name: string, table: SealedTable): UpdateQueryNode {
  const updates = node.updates ?? [];
  const changes = (columns: readonly string[]): boolean => updates.some(({ column }) => columns.includes(columnOf(column) ?? ""));
  if (changes(table.key)) throw refused(name, "the key of a row with sealed columns cannot be changed: what is sealed is bound to it");
  if (!changes(table.columns)) return node;
  const equal = new Map<string, unknown>();
  if (node.where) collectEqual(node.where.where, equal);
  const key = table.key.map((column) => keyText(equal.get(column)) ?? missingKey(name, column));
  const marked = updates.map((update): ColumnUpdateNode => {
    const column = columnOf(update.column) ?? "";
    if (!table.columns.includes(column)) return update;
    const value = ValueNode.is(update.value) ? update.value.value : update.value;
    return { ...update, value: ValueNode.create(mark(name, column, table, key, value)) };
  });
  return { ...node, updates: marked };
}

/** What a condition says that columns are equal to, in every row that it admits. */
function collectEqual(node: OperationNode, equal: Map<string, unknown>): void {
  if (ParensNode.is(node)) return collectEqual(node.node, equal);
  if (AndNode.is(node)) {
    collectEqual(node.left, equal);
    return collectEqual(node.right, equal);
  }
  if (!BinaryOperationNode.is(node) || !OperatorNode.is(node.operator) || node.operator.operator !== "=") return;
  const column = columnOf(node.leftOperand);
  if (column !== undefined && ValueNode.is(node.rightOperand)) equal.set(column, node.rightOperand.value);
}

function mark(name: string, column: string, table: SealedTable, row: readonly string[], value: unknown): unknown {
  if (!table.columns.includes(column) || value === null || value === undefined) return value;
  if (typeof value !== "string") throw refused(name, `the sealed column ${column} takes text or null`);
  return new ToBeSealed(name, column, row, value);
}

function columnOf(node: OperationNode): string | undefined {
  if (ReferenceNode.is(node)) return ColumnNode.is(node.column) ? node.column.column.name : undefined;
  return ColumnNode.is(node) ? node.column.name : undefined;
}

function nameOf(node: OperationNode | undefined): string | undefined {
  return node && TableNode.is(node) ? node.table.identifier.name : undefined;
}

function missingKey(table: string, column: string): never {
  throw refused(table, `a sealed column is bound to its row: name ${column}, which is part of the key, with its value`);
}

/** A mistake of the program, like a query that names no table. */
export function refused(table: string, why: string): Fault {
  return new Fault("internal", `${table}: ${why}`);
}
