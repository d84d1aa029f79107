import { isUtf8 } from "node:buffer";
import { Fault, type Json, type StoreRecord } from "../../../kernel/index.ts";
import { type ColumnVault, keyText, placeOf, type SealedTable, type SealedTables } from "./sealed-tables.ts";

/** How the database writes bytes as JSON. */
const HEX = "\\x";

/**
 * Records of a tenant's tables with their sealed columns opened: text, or `{"base64": …}` where what was sealed is no text. Throws `conflict`
 * when the tenant's keys were destroyed, and `isolation_violation` for a value that is not of this tenant, table, column and row.
 */
export function openRecords(records: AsyncIterable<StoreRecord>, tables: SealedTables, vault: ColumnVault): AsyncGenerator<StoreRecord> {
  return changeRecords(records, tables, async (...place) => await open(...place, vault));
}

/** The same records with those columns sealed for the tenant and row that they are put in. Throws `invalid_settings` for what no export gives. */
export function sealRecords(records: AsyncIterable<StoreRecord>, tables: SealedTables, vault: ColumnVault): AsyncGenerator<StoreRecord> {
  return changeRecords(records, tables, async (...place) => await seal(...place, vault));
}

type Change = (table: string, column: string, row: readonly string[], value: unknown) => Promise<Json>;

async function* changeRecords(records: AsyncIterable<StoreRecord>, tables: SealedTables, change: Change): AsyncGenerator<StoreRecord> {
  for await (const record of records) {
    const table = tables.get(record.kind);
    yield table ? { ...record, value: await eachSealed(record, table, change) } : record;
  }
}

async function eachSealed({ kind, value }: StoreRecord, table: SealedTable, change: Change): Promise<StoreRecord["value"]> {
  const changed: Record<string, unknown> = { ...value };
  for (const column of table.columns) {
    const given = value[column];
    if (given === null || given === undefined) continue;
    const row = table.key.map((part) => keyText(value[part]) ?? unfit(kind, `its key (${part})`));
    changed[column] = await change(kind, column, row, given);
  }
  return changed;
}

async function open(table: string, column: string, row: readonly string[], value: unknown, vault: ColumnVault): Promise<Json> {
  const stored = typeof value === "string" && value.startsWith(HEX) ? Buffer.from(value.slice(HEX.length), "hex") : unfit(table, column);
  try {
    const bytes = await vault.open(placeOf(table, column, row), stored);
    return isUtf8(bytes) ? bytes.toString("utf8") : { base64: bytes.toString("base64") };
  } catch (error) {
    throw error instanceof Fault ? unreadable(error, table, column) : error;
  }
}

async function seal(table: string, column: string, row: readonly string[], value: unknown, vault: ColumnVault): Promise<Json> {
  const bytes = clearBytes(value) ?? unfit(table, column);
  return `${HEX}${(await vault.seal(placeOf(table, column, row), bytes)).toString("hex")}`;
}

function clearBytes(value: unknown): Buffer | undefined {
  if (typeof value === "string") return Buffer.from(value);
  if (typeof value !== "object" || value === null || Object.keys(value).length !== 1 || !("base64" in value)) return undefined;
  return typeof value.base64 === "string" ? Buffer.from(value.base64, "base64") : undefined;
}

/** What an operator can do about it, in place of a word about one value. */
function unreadable(cause: Fault, table: string, column: string): Fault {
  if (cause.code === "not_found") {
    const detail = `What is sealed in ${table}.${column} cannot be exported: the tenant's keys were destroyed, and nothing opens it any more.`;
    return new Fault("conflict", detail, { cause, public: { detail } });
  }
  if (cause.code !== "isolation_violation") return cause;
  const detail = `A value in ${table}.${column} cannot be exported: it was not sealed for this tenant and row, its key is gone, or it is damaged.`;
  return new Fault(cause.code, detail, { cause, public: { detail } });
}

function unfit(table: string, what: string): never {
  const detail = `A record of ${table} has something in ${what} that no export gives: sealed columns are text or {"base64": …}.`;
  throw new Fault("invalid_settings", detail, { public: { detail } });
}
