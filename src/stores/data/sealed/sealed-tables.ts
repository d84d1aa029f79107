/** A table of which some columns are sealed: stored encrypted under the tenant's own key. */
export interface SealedTable {
  readonly columns: readonly string[];
  /** Names the row that a value is bound to. */
  readonly key: readonly string[];
}

/** The sealed tables of an application by their names. */
export type SealedTables = ReadonlyMap<string, SealedTable>;

/** Where a sealed value stands: it opens there and nowhere else. */
interface SealedPlace {
  readonly purpose: "columns";
  readonly table: string;
  readonly column: string;
  readonly row: readonly string[];
}

/** What seals the columns of one tenant. */
export interface ColumnVault {
  seal(place: SealedPlace, value: Uint8Array): Promise<Buffer>;
  open(place: SealedPlace, sealed: Uint8Array): Promise<Buffer>;
  /** The version of the key that seals now. */
  version(purpose: "columns"): Promise<number>;
}

/** Bytes of the smallest sealed value, and the first byte of each: what a check in the database can tell it by. */
const SEALED_BYTES_MIN = 49;
const SEALED_FORM = 1;

/** SQL of a check that takes only what could be a sealed value: clear text that a statement writes past the handle is refused. */
export function sealedCheck(column: string): string {
  return `constraint sealed_${column} check (length(${column}) >= ${SEALED_BYTES_MIN} and get_byte(${column}, 0) = ${SEALED_FORM})`;
}

/** SQL of the sealed columns of the table with this oid, by the check that each of them has. */
export function sealedColumnsSql(oid: string): string {
  return `coalesce((select array_agg(s.attname::text order by s.attnum) from pg_catalog.pg_constraint f join pg_catalog.pg_attribute s
      on s.attrelid = f.conrelid and s.attnum = any (f.conkey) and s.atttypid = 'bytea'::regtype
    where f.conrelid = ${oid} and f.contype = 'c' and f.convalidated and f.conname = 'sealed_' || s.attname), '{}')`;
}

/** Where the value of this column is in this row. */
export function placeOf(table: string, column: string, row: readonly string[]): SealedPlace {
  return { purpose: "columns", table, column, row };
}

/** The version of the key that a stored value was sealed with. */
export function versionOf(sealed: Uint8Array): number {
  return Buffer.from(sealed.buffer, sealed.byteOffset, sealed.byteLength).readUInt32BE(1);
}

/** A key's value as it is bound: the same for what a program gives and what the database gives back. Nothing else can be part of such a key. */
export function keyText(value: unknown): string | undefined {
  if (typeof value === "string") return value;
  return typeof value === "number" || typeof value === "bigint" ? String(value) : undefined;
}
